type Json = Readonly<Record<string, unknown>>

/** Claims nest no deeper than this, whatever their names' dots say. */
const DEPTH_MAX = 8

/**
 * Finds a claim in what Envoy's jwt_authn filter left: verified payloads, each under the name that the filter's
 * configuration gave it. `tenant.id` is looked for in every payload, or in one if the name begins with it; a claim may
 * have dots in its own name, as `https://example.com/tenant` does. Nothing unverified is in there, and no token is read.
 */
export function claim(name: string): (metadata: Json | undefined) => unknown {
  return (metadata) => {
    if (metadata === undefined) return undefined
    const whole = descend(metadata, name, 0)
    if (whole !== undefined && !isObject(whole)) return whole
    for (const payload of Object.values(metadata)) {
      const found = isObject(payload) ? descend(payload, name, 0) : undefined
      if (found !== undefined) return found
    }
    return undefined
  }
}

function descend(object: Json, name: string, depth: number): unknown {
  if (Object.hasOwn(object, name)) return object[name] ?? undefined
  if (depth === DEPTH_MAX) return undefined
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    const head = name.slice(0, dot)
    const inner = Object.hasOwn(object, head) ? object[head] : undefined
    const found = isObject(inner) ? descend(inner, name.slice(dot + 1), depth + 1) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
