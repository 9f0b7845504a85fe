/** Every code that reading definitions of flags can give, and what it means. To add one, add a row. */
export const FLAG_PROBLEMS = {
  'flags/syntax': 'the text is neither JSON nor YAML',
  'flags/field-twice': 'a field is written twice',
  'flags/aliases': 'aliases make the text grow beyond all measure',
  'flags/too-large': 'more bytes than a definition may have',
  'flags/too-many': 'more flags than one source may have',
  'flags/too-deep': 'values that nest deeper than anybody would write them',
  'flags/missing-field': 'a field that must be there is not',
  'flags/wrong-type': 'a text where a number is wanted, and the like',
  'flags/bad-value': 'a value outside what the field may hold',
  'flags/unknown-field': 'a field that definitions do not have; it is left out',
  'flags/more': 'there are more problems than are listed',
  'flags/metadata-differs': 'two files of one source say different things of the whole set',
  'flag/twice': 'two flags of one source have one key',
  'flag/variants-differ': 'variants of more than one type',
  'flag/unknown-variant': 'a default that is none of the variants',
  'flag/unknown-operator': 'an operator that targeting does not have',
  'flag/operands': 'operands of which nothing can come',
  'flag/targeting-size': 'targeting that is too large, or too deep',
  'flag/unknown-ref': 'a `$ref` that names nothing under `$evaluators`',
  'flag/nested-ref': 'a `$ref` inside of `$evaluators`',
  'flag/unknown-layer': 'no layer has this name',
  'flag/layer-without-class': 'a flag that speaks in a layer and does not say for which class',
  'flag/metadata': 'metadata that cannot be used as what it is called',
  'flag/meaning': 'a variant that is neither policy, nor action, nor overlay',
  'flag/meaning-field': 'a field that such a variant does not have',
  'flag/meaning-value': 'a value that such a field cannot have',
  'flag/action-layer': 'an action in a layer that may not order any',
} as const satisfies Record<string, string>

/** A key of FLAG_PROBLEMS. */
export type FlagProblemCode = keyof typeof FLAG_PROBLEMS
