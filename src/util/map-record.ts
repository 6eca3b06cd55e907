/** What `change` makes of each value, under the same names. */
export function mapRecord<Name extends string, From, To>(
  record: Readonly<Record<Name, From>>,
  change: (value: From, name: Name) => To,
): Record<Name, To> {
  const entries = Object.entries<From>(record) as [Name, From][]
  // Every name has come, with what was made for it.
  return Object.fromEntries(entries.map(([name, value]) => [name, change(value, name)])) as Record<Name, To>
}
