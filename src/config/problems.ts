/** Every code that reading a configuration can give, beside those of shapes and feeds. To add one, add a row. */
export const CONFIG_PROBLEMS = {
  'config/unreadable': 'the file cannot be read',
  'config/several': 'the file holds several documents',
  'config/environment': 'a variable of the environment has a value that its field cannot have',
  'config/setting': '`--set` names no field, or gives a value that it cannot have',
  'config/listener': 'a listener that is neither socket nor address, or both',
  'config/address': 'an address without a port',
  'config/processes': 'listeners of several processes that would be on one port or socket, or on none',
  'config/duplicate-name': 'two sources have one name',
  'config/feed-kind': 'a feed of a kind that does not exist',
  'config/flag-kind': 'a source of flags of a kind that does not exist',
  'config/flags-exposed': 'flags would be served to other machines without asking who they are',
  'config/admin-exposed': 'HTTP for operators would be open to other machines without credentials',
  'config/admin-plain': 'tokens would cross the network in the clear',
  'config/hops-without-keys': 'hops cannot be signed without keys',
} as const satisfies Record<string, string>

/** A key of CONFIG_PROBLEMS. */
export type ConfigProblemCode = keyof typeof CONFIG_PROBLEMS
