/** By the end of the path of an endpoint: what people are told that somebody wants to do. */
const DESCRIPTIONS: readonly (readonly [RegExp, string])[] = [
  [/\/(?:delete_devices|devices\/[^/]+)$/, 'remove devices from your account'],
  [/\/account\/deactivate$/, 'deactivate your account'],
  [/\/account\/password$/, 'change your password'],
  [/\/account\/3pid\/add$/, 'add an address to your account'],
  [/\/keys\/device_signing\/upload$/, 'add new keys for confirming your devices'],
  [/\/login\/get_token$/, 'log another client in to your account'],
]

/** What somebody wants to do who has to prove who they are, to be read after "a client is trying to". */
export function describeOperation({ path }: { readonly path: string }): string {
  return DESCRIPTIONS.find(([pattern]) => pattern.test(path))?.[1] ?? 'change something about your account'
}
