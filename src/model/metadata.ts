/** What every document says of itself. */
export interface Metadata {
  readonly name: string
  readonly owner?: string
  readonly labels?: Readonly<Record<string, string>>
}
