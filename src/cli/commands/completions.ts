import { Argument, type Command } from 'commander'
import { say } from '../output.ts'

/** `hubward completions <shell>`: a script that teaches a shell the commands, their options and their choices. */
export function completionsCommand(program: Command): void {
  program
    .command('completions')
    .summary('print completions for a shell')
    .description('Prints completions; for instance: source <(hubward completions bash)')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .action((shell: 'bash' | 'zsh' | 'fish') => {
      const words = wordsOf(program, [])
      say(SHELLS[shell](words))
    })
}

/** What may follow the words of a command so far. */
interface Words {
  /** `override drain`, or empty for the program itself. */
  readonly command: string
  readonly commands: readonly { readonly name: string; readonly says: string }[]
  readonly options: readonly { readonly name: string; readonly says: string }[]
  readonly choices: readonly string[]
}

function wordsOf(command: Command, path: readonly string[]): Words[] {
  const own: Words = {
    command: path.join(' '),
    commands: command.commands.map((one) => ({ name: one.name(), says: one.summary() || one.description() })),
    options: [
      ...command.options.map((option) => ({ name: option.long ?? option.short ?? '', says: option.description })),
      { name: '--help', says: 'tell how it is used' },
    ],
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  }
  return [own, ...command.commands.flatMap((one) => wordsOf(one, [...path, one.name()]))]
}

const names = (words: Words): string =>
  [...words.commands.map(({ name }) => name), ...words.choices, ...words.options.map(({ name }) => name)].join(' ')

/** Inside single quotes, for any shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const bash = (all: readonly Words[]): string => `_hubward() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  while true; do
    case "$path" in
${all.map((words) => `      ${quoted(words.command)}) words=${quoted(names(words))}; break ;;`).join('\n')}
      *' '*) path="\${path% *}" ;;
      *) path="" ;;
    esac
  done
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _hubward hubward`

const zsh = (all: readonly Words[]): string =>
  `#compdef hubward\nautoload -U +X bashcompinit && bashcompinit\n${bash(all)}`

const fish = (all: readonly Words[]): string =>
  all
    .flatMap((words) => {
      const path = words.command.split(' ').filter((word) => word !== '')
      const others = words.commands.map(({ name }) => name).join(' ')
      const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`)
      const when = quoted(
        [...seen, ...(others === '' ? [] : [`not __fish_seen_subcommand_from ${others}`])].join('; and '),
      )
      const line = (rest: string, says: string) => `complete -c hubward -n ${when} ${rest} -d ${quoted(says)}`
      return [
        ...words.commands.map(({ name, says }) => line(`-f -a ${name}`, says)),
        ...words.choices.map((choice) => line(`-f -a ${choice}`, '')),
        ...words.options.map(({ name, says }) => line(`-l ${name.replace(/^-+/, '')}`, says)),
      ]
    })
    .join('\n')

const SHELLS = { bash, zsh, fish } as const
