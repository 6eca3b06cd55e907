/** Something that the browser is to keep, or to forget where the value is empty. */
export interface SignOnCookie {
  readonly name: string
  readonly value: string
  readonly maxAgeMs: number
  /** Sent along also with forms of other sites. */
  readonly isCrossSite: boolean
  /** The server is reached by https: sent with nothing else. */
  readonly isSecure: boolean
}

/** What a browser gets. */
export type SignOnAnswer = {
  readonly cookie?: SignOnCookie | undefined
} & (
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'page'; readonly status: number; readonly page: string }
)

/** Sends the browser on. */
export function sendTo(location: string, cookie?: SignOnCookie): SignOnAnswer {
  return { kind: 'redirect', location, cookie }
}

/** Shows something. */
export function show(page: string, options: { status?: number; cookie?: SignOnCookie } = {}): SignOnAnswer {
  return { kind: 'page', status: options.status ?? 200, page, cookie: options.cookie }
}
