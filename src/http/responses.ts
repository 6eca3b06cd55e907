import type { JsonValue } from '../util/json.js'

/** An answer that is more than a JSON value with status 200. */
export class HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** A JSON value, or text with the content type in `headers`. Undefined: no body. */
  readonly body: { readonly json: JsonValue } | { readonly text: string } | undefined

  constructor(
    status: number,
    body?: { readonly json: JsonValue } | { readonly text: string },
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.status = status
    this.headers = headers
    this.body = body
  }
}
