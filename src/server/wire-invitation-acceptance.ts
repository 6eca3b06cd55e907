import { InvitationAcceptance } from '../services/journeys/invitation-acceptance.js'
import type { BackgroundWork } from './lifecycle.js'
import type { Base } from './wire-base.js'
import type { Community } from './wire-community.js'
import type { People } from './wire-people.js'
import type { Views } from './wire-views.js'

/** Constructs what accepts invitations for people, where it is switched on. */
export function createInvitationAcceptance(
  { parts, stores, shared, bus }: Base,
  { accounts }: People,
  { rooms }: Community,
  { reads }: Views,
): BackgroundWork {
  const { config, storage, clock, logger } = parts
  const accepted = config.invitations.accepted ?? config.modules.acceptedInvitations
  if (accepted === undefined) return {}
  const acceptance = new InvitationAcceptance({
    ...stores,
    db: storage.db,
    clock,
    logger,
    tail: reads.tail,
    writer: accounts.accountData,
    hiddenInviters: reads.hiddenInviters,
    membership: rooms.services.roomMembership,
    eventsPosition: () => storage.streams.events.position(),
    onError: shared.onError,
    options: { ...accepted, serverName: config.server.serverName },
  })
  bus.subscribe(acceptance)
  return acceptance
}
