import { parseUserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/**
 * `/.well-known/matrix/support`, from the `admin_contact` of the configuration: a `mailto:` URI, the URL of a page, a
 * `matrix:` URI or a user ID. Undefined where it says nothing that the document can carry.
 * https://spec.matrix.org/latest/client-server-api/#getwell-knownmatrixsupport
 */
export function buildSupportDocument(adminContact: string | undefined): JsonObject | undefined {
  if (adminContact === undefined) return undefined
  const contact = adminContact.trim()
  if (/^https?:\/\//i.test(contact) && URL.canParse(contact)) return { support_page: contact }
  const address = contactOf(contact)
  return address && { contacts: [{ ...address, role: 'm.role.admin' }] }
}

function contactOf(contact: string): JsonObject | undefined {
  const userId = parseUserId(contact.replace(/^matrix:u\//i, '@').replace(/^https:\/\/matrix\.to\/#\//i, ''))
  if (userId !== undefined) return { matrix_id: userId }
  const email = contact.replace(/^mailto:/i, '').replace(/\?.*$/, '')
  return /^[^\s@]+@[^\s@]+$/.test(email) ? { email_address: email } : undefined
}
