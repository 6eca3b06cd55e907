import type { IncomingHttpHeaders } from 'node:http'
import { badJson, invalidParam } from '../protocol/errors.js'
import { readBody, type IncomingBody } from './body.js'

interface IncomingForm extends IncomingBody {
  readonly headers: Pick<IncomingHttpHeaders, 'content-length' | 'content-type'>
}

/** A form of a few fields. */
const MAX_FORM_BYTES = 16 * 1024
const FORM_TYPE = 'application/x-www-form-urlencoded'

/** As `readFormFields`, the first field of each name. */
export async function readForm(form: IncomingForm): Promise<ReadonlyMap<string, string>> {
  const fields = new Map<string, string>()
  for (const [name, value] of await readFormFields(form)) if (!fields.has(name)) fields.set(name, value)
  return fields
}

/**
 * The fields of a form as browsers send it. Throws `M_BAD_JSON` for another content type,
 * `M_INVALID_PARAM` for U+0000, which databases refuse, and what `readBody` throws for more than 16 KiB.
 */
export async function readFormFields(form: IncomingForm): Promise<URLSearchParams> {
  const [type] = (form.headers['content-type'] ?? '').split(';')
  if (type?.trim().toLowerCase() !== FORM_TYPE) throw badJson(`The body must be ${FORM_TYPE}`)
  const bytes = await readBody(form, MAX_FORM_BYTES)
  const fields = new URLSearchParams(bytes.toString('utf8'))
  for (const [name, value] of fields) {
    if (value.includes('\0')) throw invalidParam(`${name} must not hold U+0000`)
  }
  return fields
}
