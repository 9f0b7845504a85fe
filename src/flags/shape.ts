import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import type { FieldPath, Finding } from './text.ts'
import { didYouMean, shown } from './words.ts'

/** The most variants of one flag. */
export const VARIANTS_MAX = 200
const KEY_MAX = 200
const TEXT_MAX = 2_000

const METADATA = {
  type: 'object',
  description: 'a map of texts, numbers, true and false',
  propertyNames: { minLength: 1, maxLength: KEY_MAX },
  maxProperties: 100,
  additionalProperties: {
    type: ['string', 'number', 'boolean'],
    maxLength: TEXT_MAX,
    description: 'a text, a number, true or false',
  },
}

/** A flag by flagd's schema (https://flagd.dev/schema/v0/flags.json), in our own words; fields that it lacks are let pass. */
const FLAG = {
  type: 'object',
  description: 'a flag: a map with "state" and "variants"',
  required: ['state', 'variants'],
  properties: {
    state: { enum: ['ENABLED', 'DISABLED'] },
    variants: {
      type: 'object',
      description: 'a map from the names of variants to their values',
      minProperties: 1,
      maxProperties: VARIANTS_MAX,
      propertyNames: { minLength: 1, maxLength: KEY_MAX },
      additionalProperties: {
        type: ['boolean', 'string', 'number', 'object'],
        description: 'true or false, a text, a number or a map',
      },
    },
    defaultVariant: { type: ['string', 'null'], description: 'the name of a variant, or null' },
    targeting: { type: ['object', 'null'], description: 'a map with one operator' },
    metadata: METADATA,
  },
}

const ROOT = {
  type: 'object',
  description: 'a map with the field "flags"',
  required: ['flags'],
  properties: {
    flags: { type: ['object', 'array'], description: 'a map from keys to flags, or a list of flags with "key"' },
    metadata: METADATA,
  },
}

/** Fields that are no part of a flag, though tools write them. */
const LET_PASS = ['key', 'source', 'selector', 'flagSetId', 'priority', 'description', '$schema']

let compiled: { readonly flag: ValidateFunction; readonly root: ValidateFunction } | undefined

/** What is wrong with the shape of one flag or of a whole definition, with the way to it from there. */
export function shapeFindings(what: 'flag' | 'root', value: unknown): (readonly [FieldPath, Finding])[] {
  if (compiled === undefined) {
    const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, strictTypes: false })
    compiled = { flag: ajv.compile(FLAG), root: ajv.compile(ROOT) }
  }
  const validate = compiled[what]
  const findings = validate(value) ? [] : (validate.errors ?? []).flatMap((error) => finding(error, what))
  return what === 'flag' ? [...findings, ...unknownFields(value)] : findings
}

function unknownFields(value: unknown): [FieldPath, Finding][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  const known = Object.keys(FLAG.properties)
  return Object.keys(value)
    .filter((name) => !known.includes(name) && !LET_PASS.includes(name))
    .map((name) => {
      const message = `flags have no field "${name.slice(0, 100)}"${didYouMean(name, known)}`
      const remedy = `known: ${known.join(', ')}; whatever else is to be kept belongs into "metadata"`
      return [[name], { code: 'flags/unknown-field', message, remedy, severity: 'warning', want: 'key' }]
    })
}

function finding(error: ErrorObject, what: 'flag' | 'root'): [FieldPath, Finding][] {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  const name = path.at(-1) ?? (what === 'flag' ? 'a flag' : 'the text')
  const says = (error.parentSchema as { description?: string }).description
  switch (error.keyword) {
    case 'required': {
      const field = String(error.params.missingProperty)
      return [
        [path, { code: 'flags/missing-field', message: `"${field}" is missing here`, remedy: `write "${field}"` }],
      ]
    }
    case 'type': {
      const subject = path.length === 0 ? name : `"${name}"`
      const message = `${subject} is ${shown(error.data)}; it has to be ${says}`
      return [[path, { code: 'flags/wrong-type', message }]]
    }
    case 'propertyNames':
      return []
    case 'enum': {
      const message = `"${name}" is ${shown(error.data)}`
      const allowed = (error.params.allowedValues as string[]).map((one) => `"${one}"`).join(' or ')
      return [[path, { code: 'flags/bad-value', message, remedy: `write ${allowed}` }]]
    }
    default: {
      const at = error.propertyName === undefined ? path : [...path, error.propertyName]
      const message = `"${at.at(-1) ?? ''}" ${error.message}`
      return [[at, { code: 'flags/bad-value', message: message.slice(0, 300), want: 'key' }]]
    }
  }
}
