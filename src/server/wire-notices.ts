import { ServerNotices } from '../services/journeys/server-notices.js'
import { UsageNotices } from '../services/journeys/usage-notices.js'
import type { Services } from '../services/services.js'
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
): { readonly services: Pick<Services, 'serverNotices'>; readonly background: BackgroundWork } {
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
  return {
    services: { serverNotices: notices },
    background: createUsageNotices(base, notices, discovery.services.usageLimits),
  }
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
