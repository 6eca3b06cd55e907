import { PushGatewayClient } from '../net/clients/push-gateway-client.js'
import type { PushRules } from '../services/accounts/push-rules.js'
import { Rendezvous } from '../services/devices/rendezvous.js'
import { Badges } from '../services/delivery/badges.js'
import { EmailPusher } from '../services/delivery/email-pusher.js'
import { HttpPusher } from '../services/delivery/http-pusher.js'
import { MailSubscriptions } from '../services/delivery/mail-subscriptions.js'
import { NotificationList } from '../services/delivery/notification-list.js'
import { NotificationMail } from '../services/delivery/notification-mail.js'
import { NotifiedEvents } from '../services/delivery/notified-events.js'
import { PusherAudience } from '../services/delivery/pusher-audience.js'
import { PusherPool } from '../services/delivery/pusher-pool.js'
import { Pushers } from '../services/delivery/pushers.js'
import { RoomNames } from '../services/delivery/room-names.js'
import { RoomPushFacts } from '../services/delivery/room-push-facts.js'
import { SenderNames } from '../services/delivery/sender-names.js'
import { UnsubscribeLinks } from '../services/delivery/unsubscribe-links.js'
import { UserPushes } from '../services/delivery/user-pushes.js'
import type { ClientEvents } from '../services/events/client-events.js'
import type { EventTail } from '../services/events/event-tail.js'
import type { UnreadCounts } from '../services/events/unread-counts.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { HiddenInviters } from '../services/sync/hidden-inviters.js'
import type { IgnoredUsers } from '../services/sync/ignored-users.js'
import { AppservicesStore } from '../storage/stores/appservices.js'
import { MembershipChangesStore } from '../storage/stores/membership-changes.js'
import { NotificationsStore } from '../storage/stores/notifications.js'
import { PushersStore } from '../storage/stores/pushers.js'
import { RoomSummariesStore } from '../storage/stores/room-summaries.js'
import { StreamCursorsStore } from '../storage/stores/stream-cursors.js'
import { ThreadSubscriptionsStore } from '../storage/stores/thread-subscriptions.js'
import { TimelinesStore } from '../storage/stores/timelines.js'
import { randomFraction } from '../util/random.js'
import type { BackgroundWork } from './lifecycle.js'
import type { OutboundHttp } from './outbound-http.js'
import type { OutboundMail } from './outbound-mail.js'
import type { ServiceParts, Stores } from './wire-base.js'

/** What delivery needs of the rest of the server. */
export interface DeliveryParts extends ServiceParts {
  readonly bus: LocalBus
  readonly http: OutboundHttp
  readonly mail: OutboundMail
  readonly pushers: Pushers
  readonly pushRules: PushRules
  readonly clientEvents: ClientEvents
  readonly unreadCounts: UnreadCounts
  readonly tail: EventTail
  readonly ignored: IgnoredUsers
  readonly hiddenInviters: HiddenInviters
  readonly onError: (error: unknown) => void
}

export type DeliveryServices = Pick<
  Services,
  'mailSubscriptions' | 'notificationList' | 'pushers' | 'rendezvous'
>

export function createDeliveryStores() {
  return {
    appservices: new AppservicesStore(),
    cursors: new StreamCursorsStore(),
    notifications: new NotificationsStore(),
    pushers: new PushersStore(),
  }
}

/** By itself, because pushers go with devices and users: pass it to the accounts as a clean-up. */
export function createPushers(
  { config, storage, clock }: ServiceParts,
  stores: Pick<Stores, 'pushers' | 'threepids'>,
): Pushers {
  const { db, streams } = storage
  return new Pushers({
    db,
    clock,
    pushers: stores.pushers,
    eventsPosition: () => streams.events.position(),
    ownsEmail: async (userId, address) =>
      (await stores.threepids.findOwner(db.reader, 'email', address.toLowerCase())) === userId,
    sendsMail: config.email.mail?.sendsNotifications ?? false,
  })
}

/** Constructs what reaches devices by other ways than their syncs. */
export function createDeliveryServices(
  parts: DeliveryParts,
  stores: Stores,
): { services: DeliveryServices; background: BackgroundWork } {
  const { config, clock, pushers, clientEvents, mail } = parts
  const links = createLinks(parts)
  const all = {
    ...stores,
    changes: new MembershipChangesStore(),
    summaries: new RoomSummariesStore(),
    timelines: new TimelinesStore(),
  }
  const notified = new NotifiedEvents({
    ...all,
    db: parts.storage.db,
    roomFacts: new RoomPushFacts({ ...all, db: parts.storage.db }),
    pushRules: parts.pushRules,
    ignored: parts.ignored,
    hiddenInviters: parts.hiddenInviters,
    silentRooms: config.rooms.excludedFromSync,
    ...(config.experimental.threadSubscriptions && { threads: new ThreadSubscriptionsStore() }),
  })
  return {
    services: {
      pushers,
      mailSubscriptions: new MailSubscriptions({ links, pushers, templates: mail.templates }),
      notificationList: new NotificationList({ notified, clientEvents }),
      rendezvous: new Rendezvous(clock, {
        isOpenByUrl: config.experimental.rendezvousByUrl,
        mode: config.experimental.rendezvousMode,
        publicBaseUrl: config.server.publicBaseUrl,
      }),
    },
    background: config.push.enabled ? createPusherPool(parts, all, { notified, links }) : {},
  }
}

type DeliveryStores = Stores & {
  readonly summaries: RoomSummariesStore
  readonly timelines: TimelinesStore
}

/** Signed with the first secret there is: the key with which the server signs events is there always. */
function createLinks({ config, serverKeys }: DeliveryParts): UnsubscribeLinks {
  const { macaroonSecretKey, formSecret } = config.sessions
  const secret =
    macaroonSecretKey ?? formSecret ?? Buffer.from(serverKeys.signing.key.seed).toString('base64')
  return new UnsubscribeLinks({ publicBaseUrl: config.server.publicBaseUrl, secret })
}

function createPusherPool(
  parts: DeliveryParts,
  stores: DeliveryStores,
  { notified, links }: { notified: NotifiedEvents; links: UnsubscribeLinks },
): PusherPool {
  const { config, storage, clock, bus, onError } = parts
  const { db, streams } = storage
  const roomNames = new RoomNames({ ...stores, db })
  const userPushes = new UserPushes({
    db,
    clock,
    notified,
    logger: parts.logger,
    pushers: stores.pushers,
    badges: new Badges({ ...parts, db, members: stores.members, countsRooms: config.push.countsRooms }),
    deliveries: {
      http: new HttpPusher({
        roomNames,
        senderNames: new SenderNames({ db, notifications: stores.notifications }),
        gateway: new PushGatewayClient(parts.http.toStrangers),
        includesContent: config.push.includeContent,
      }),
      ...createEmailPusher(parts, stores, { roomNames, links }),
    },
  })
  const pool = new PusherPool({
    ...stores,
    db,
    audience: new PusherAudience({ ...stores, db, caches: storage.caches }),
    clock,
    tail: parts.tail,
    userPushes,
    onError,
    eventsPosition: () => streams.events.position(),
    jitterMs: config.push.jitterMs,
    random: randomFraction,
  })
  bus.subscribe(pool)
  return pool
}

function createEmailPusher(
  { config, storage, clock, mail: { mailer, templates } }: DeliveryParts,
  stores: DeliveryStores,
  { roomNames, links }: { roomNames: RoomNames; links: UnsubscribeLinks },
): { email?: EmailPusher } {
  const { mail } = config.email
  if (mailer === undefined || mail?.sendsNotifications !== true) return {}
  const { db } = storage
  const mails = new NotificationMail({ ...stores, db, templates, roomNames, links, options: mail })
  const { pushers } = stores
  return {
    email: new EmailPusher({ db, clock, pushers, mailer, mails, delayMs: mail.notificationDelayMs }),
  }
}
