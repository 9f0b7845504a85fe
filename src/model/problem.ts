/** What is wrong with something the world gave us, where, and what to do about it. */
export interface Problem {
  /** `area/what-is-wrong`; one string in code, log, API and docs. */
  readonly code: string
  /** `error` refuses the set, `warning` is shown and let pass. */
  readonly severity: 'error' | 'warning'
  readonly message: string
  /** The file, relative to its source's root; absent for what has no file. */
  readonly path?: string
  /** 1-based. */
  readonly line?: number
  /** 1-based. */
  readonly column?: number
  /** What the reader can do: a sentence in the imperative. */
  readonly remedy?: string
}

/** The problem as people read it: `file:line:column  code  message`, the remedy below. */
export const problemText = (problem: Problem): string => {
  const place =
    problem.path === undefined
      ? ''
      : `${problem.path}${problem.line === undefined ? '' : `:${problem.line}:${problem.column ?? 1}`}  `
  const text = `${place}${problem.code}  ${problem.message}`
  return problem.remedy === undefined ? text : `${text}\n${' '.repeat(place.length)}${problem.remedy}`
}

/** The problems with what refuses a set before what is only told; otherwise in their order. */
export const errorsFirst = (problems: readonly Problem[]): readonly Problem[] =>
  problems.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'))
