import { badJson, invalidParam, tooLarge } from '../protocol/errors.js'
import type { RequestInfo } from './route.js'

/** A form of a few fields. */
const MAX_FORM_BYTES = 16 * 1024
const FORM_TYPE = 'application/x-www-form-urlencoded'

/**
 * The fields of a form as browsers send it, the first of each name. Throws `M_BAD_JSON` for another content type,
 * `M_TOO_LARGE` for more than 16 KiB, `M_INVALID_PARAM` for U+0000, which databases refuse.
 */
export async function readForm({
  stream,
  headers,
}: Pick<RequestInfo, 'stream' | 'headers'>): Promise<ReadonlyMap<string, string>> {
  const type = String(headers['content-type'] ?? '').split(';')[0]
  if (type?.trim().toLowerCase() !== FORM_TYPE) throw badJson(`The body must be ${FORM_TYPE}`)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_FORM_BYTES) throw tooLarge('The form is too large')
    chunks.push(chunk)
  }
  const fields = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(Buffer.concat(chunks).toString('utf8'))) {
    if (value.includes('\0')) throw invalidParam(`${name} must not hold U+0000`)
    if (!fields.has(name)) fields.set(name, value)
  }
  return fields
}
