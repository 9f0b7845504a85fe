/** A limit on a changing signal and the value that lifts it again. */
export interface Threshold {
  readonly op: 'max' | 'min'
  readonly limit: number
  readonly resume: number
  /** Nobody wrote the resume value: it lies 10 % inside. */
  readonly derived?: boolean
  /** Somebody's guess: `validate` lists it. */
  readonly estimated?: boolean
}
