import { fillSubject } from '../config/sections/email.js'
import type { PolicyConsents } from '../services/accounts/policy-consents.js'
import { PolicyNotices } from '../services/journeys/policy-notices.js'
import { ServerNotices } from '../services/journeys/server-notices.js'
import { UsageNotices } from '../services/journeys/usage-notices.js'
import type { Services } from '../services/services.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { mapRecord } from '../util/map-record.js'
import type { BackgroundWork } from './lifecycle.js'
import type { Base } from './wire-base.js'
import type { Community } from './wire-community.js'
import type { People } from './wire-people.js'
import type { Views } from './wire-views.js'

/** Constructs what speaks in the server's name. */
export function createNotices(
  base: Base,
  { accounts }: People,
  { rooms }: Community,
  { discovery }: Views,
): {
  readonly services: Pick<Services, 'serverNotices' | 'policyNotices'>
  readonly background: readonly BackgroundWork[]
} {
  const { parts, stores, shared, events } = base
  const { server, serverNotices } = parts.config
  const { sender, room } = serverNotices
  const notices = new ServerNotices({
    ...shared,
    ...stores,
    accountData: accounts.accountData,
    creation: rooms.services.roomCreation,
    membership: rooms.services.roomMembership,
    sender: events.eventSender,
    options: { serverName: server.serverName, sender, room },
  })
  const policyNotices = createPolicyNotices(base, notices, accounts.policyConsents)
  return {
    services: { serverNotices: notices, policyNotices },
    background: [
      createUsageNotices(base, notices, discovery.services.usageLimits),
      { stop: () => policyNotices?.settle() },
    ],
  }
}

/** Constructs what asks people to agree to the policy, where the configuration says what to ask. */
function createPolicyNotices(
  { parts, stores, shared }: Base,
  notices: ServerNotices,
  consents: PolicyConsents | undefined,
): PolicyNotices | undefined {
  const { policy } = parts.config.consent
  const notice = policy?.notice
  if (policy === undefined || notice === undefined || consents === undefined) return undefined
  return new PolicyNotices({
    ...shared,
    ...stores,
    consents,
    notices,
    options: {
      version: policy.version,
      content: (consentUri) => fillTexts(notice, { consent_uri: consentUri }) as JsonObject,
      includesGuests: policy.tellsGuests,
    },
  })
}

/** The same value with the placeholders of all its texts filled in. */
function fillTexts(value: JsonValue, values: Readonly<Record<string, string>>): JsonValue {
  if (typeof value === 'string') return fillSubject(value, values)
  if (Array.isArray(value)) return value.map((element) => fillTexts(element, values))
  if (!isJsonObject(value)) return value
  return mapRecord(value, (part) => fillTexts(part, values))
}

/** Constructs what tells people that the limit of users is reached, where there are one and notices. */
function createUsageNotices(
  { parts, later, stores, shared, events }: Base,
  notices: ServerNotices,
  limits: Services['usageLimits'],
): BackgroundWork {
  const { server, serverNotices, usage } = parts.config
  const isLimited = !server.isDisabled && usage.maxMonthlyActiveUsers !== undefined
  if (limits === undefined || !isLimited || serverNotices.sender === undefined) {
    later.provide({ usageNotices: { onCounted: () => undefined } })
    return {}
  }
  const usageNotices = new UsageNotices({
    db: parts.storage.db,
    limits,
    notices,
    roomState: events.roomState,
    events: stores.events,
    onError: shared.onError,
    options: { tells: usage.tellsOfLimit, adminContact: server.adminContact },
  })
  later.provide({ usageNotices })
  return { stop: () => usageNotices.settle() }
}
