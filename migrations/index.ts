import type { Knex } from 'knex'
import * as streams from './0000-streams.js'
import * as accounts from './0001-accounts.js'
import * as rooms from './0002-rooms.js'
import * as ephemeral from './0003-ephemeral.js'
import * as directory from './0004-directory.js'
import * as pushRules from './0005-push-rules.js'
import * as keys from './0006-keys.js'
import * as search from './0007-search.js'
import * as slidingSync from './0008-sliding-sync.js'
import * as pushAppservices from './0009-push-appservices.js'
import * as serverKeys from './0010-server-keys.js'
import * as federationInbox from './0011-federation-inbox.js'
import * as partialState from './0012-partial-state.js'
import * as federationOutbox from './0013-federation-outbox.js'
import * as media from './0014-media.js'
import * as clientRemainder from './0015-client-remainder.js'
import * as delayedEvents from './0016-delayed-events.js'
import * as takeover from './0017-takeover.js'
import * as stickyEventsAndAddresses from './0019-sticky-events-and-addresses.js'
import * as firstMembers from './0025-first-members.js'
import * as identityBindings from './0034-identity-bindings.js'
import * as eventRelationships from './0035-event-relationships.js'
import * as threadSubscribers from './0040-thread-subscribers.js'
import * as waitingStickyEvents from './0041-waiting-sticky-events.js'
import * as rememberedRegistrations from './0044-remembered-registrations.js'
import * as networkRooms from './0045-network-rooms.js'
import * as userConsents from './0046-user-consents.js'
import * as administration from './0047-administration.js'
import * as administratorsQuestions from './0048-administrators-questions.js'
import * as redactedContent from './0049-redacted-content.js'
import * as forgottenRooms from './0052-forgotten-rooms.js'
import * as signOn from './0053-sign-on.js'
import * as providerSessions from './0054-provider-sessions.js'
import * as policyNotices from './0056-policy-notices.js'

/** One reversible step of the schema, the same for both databases. */
export interface Migration {
  /** The file's name without its extension: what the database remembers. */
  readonly name: string
  up(knex: Knex): Promise<void>
  down(knex: Knex): Promise<void>
}

/** All steps, in the order in which they are taken. Only ever appended to. */
export const migrations: readonly Migration[] = [
  streams,
  accounts,
  rooms,
  ephemeral,
  directory,
  pushRules,
  keys,
  search,
  slidingSync,
  pushAppservices,
  serverKeys,
  federationInbox,
  partialState,
  federationOutbox,
  media,
  clientRemainder,
  delayedEvents,
  takeover,
  stickyEventsAndAddresses,
  firstMembers,
  identityBindings,
  eventRelationships,
  threadSubscribers,
  waitingStickyEvents,
  rememberedRegistrations,
  networkRooms,
  userConsents,
  administration,
  administratorsQuestions,
  redactedContent,
  forgottenRooms,
  signOn,
  providerSessions,
  policyNotices,
]
