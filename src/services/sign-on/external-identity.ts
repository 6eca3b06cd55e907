import type { JsonObject } from '../../util/json.js'
import { cleanDisplayName, cleanEmails, hasUnwanted } from '../accounts/given-profiles.js'
import type { ExternalIdentity } from './identity-provider.js'
import { SignOnFailure } from './sign-on-failure.js'

const MAX_ID_LENGTH = 1000
const MAX_LOCALPART_LENGTH = 255
const MAX_URL_LENGTH = 2048
const MAX_EXTRA_LENGTH = 16 * 1024

/**
 * What a service says of somebody, as it can be kept: what is too long is cut or left out. Throws `mapping_error` where
 * the ID itself is of no use.
 */
export function cleanIdentity(identity: ExternalIdentity): ExternalIdentity {
  const { externalId, providerSession, localpart, confirmsLocalpart = false } = identity
  if (externalId === '' || externalId.length > MAX_ID_LENGTH || hasUnwanted(externalId)) {
    throw new SignOnFailure('mapping_error', 'The service does not say who you are')
  }
  if (localpart !== undefined && (localpart.length > MAX_LOCALPART_LENGTH || hasUnwanted(localpart))) {
    throw new SignOnFailure('mapping_error', 'The service gives you a name that nobody can have here')
  }
  const displayName = cleanDisplayName(identity.displayName)
  const pictureUrl = cleanUrl(identity.pictureUrl)
  const extraAttributes = cleanExtra(identity.extraAttributes)
  return {
    externalId,
    confirmsLocalpart,
    emails: cleanEmails(identity.emails ?? []),
    ...(isKeepable(providerSession) && { providerSession }),
    ...(localpart !== undefined && localpart !== '' && { localpart }),
    ...(displayName && { displayName }),
    ...(pictureUrl && { pictureUrl }),
    ...(extraAttributes && { extraAttributes }),
  }
}

function cleanUrl(url: string | undefined): string | undefined {
  if (url === undefined || url.length > MAX_URL_LENGTH || !URL.canParse(url)) return undefined
  const { protocol, href } = new URL(url)
  return protocol === 'https:' || protocol === 'http:' ? href : undefined
}

function cleanExtra(extra: Readonly<JsonObject> | undefined): Readonly<JsonObject> | undefined {
  if (extra === undefined) return undefined
  const json = JSON.stringify(extra)
  return json.length > MAX_EXTRA_LENGTH || json.includes('\\u0000') ? undefined : extra
}

function isKeepable(text: string | undefined): text is string {
  return text !== undefined && text !== '' && text.length <= MAX_ID_LENGTH && !hasUnwanted(text)
}
