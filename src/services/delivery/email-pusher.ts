import type { Mailer } from '../../net/mailer.js'
import type { Database } from '../../storage/database.js'
import type { PusherRecord, PushersStore, Throttle } from '../../storage/stores/pushers.js'
import type { Clock } from '../../util/clock.js'
import type { NotificationMail } from './notification-mail.js'
import type { UserNotification } from './notified-events.js'
import type { PusherDelivery, PusherNews, PusherOutcome } from './pusher-delivery.js'

export interface EmailPusherDependencies {
  readonly db: Database
  readonly pushers: PushersStore
  readonly mailer: Mailer
  readonly mails: Pick<NotificationMail, 'compose'>
  readonly clock: Pick<Clock, 'now'>
  /** `email.notif_delay_before_mail`: who reads within this time gets no mail. */
  readonly delayMs: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** After a mail about a room the next waits so long, and the one after that... */
const FIRST_WAIT_MS = 10 * MINUTE_MS
/** ...so long. */
const LONG_WAIT_MS = 24 * HOUR_MS
/** After so long without anything to tell it begins anew. */
const QUIET_MS = 12 * HOUR_MS

interface Ready {
  readonly notification: UserNotification
  readonly readyTs: number
}

/** Sends mails about what stays unread, ever more rarely. */
export class EmailPusher implements PusherDelivery {
  readonly #deps: EmailPusherDependencies

  constructor(deps: EmailPusherDependencies) {
    this.#deps = deps
  }

  /** Sends one mail with everything unread as soon as the time of one of the rooms has come. */
  async deliver(pusher: PusherRecord, news: PusherNews): Promise<PusherOutcome> {
    const { notifications } = news
    if (notifications.length === 0) return { kind: 'done', badge: news.badge }
    try {
      const throttles = await this.#deps.pushers.getThrottles(this.#deps.db.reader, pusher.pusherId)
      const ready = notifications.map((notification) => ({
        notification,
        readyTs: this.#readyTs(notification, throttles.get(notification.room.roomNid)),
      }))
      const now = this.#deps.clock.now()
      const due = ready.find(({ readyTs }) => readyTs <= now)
      if (due === undefined) {
        return { kind: 'later', dueTs: Math.min(...ready.map(({ readyTs }) => readyTs)) }
      }
      await this.#send(pusher, notifications, { due, throttles })
      return { kind: 'done', badge: news.badge }
    } catch (error) {
      return { kind: 'failed', position: pusher.position, error }
    }
  }

  #readyTs({ stored }: UserNotification, throttle: Throttle | undefined): number {
    const afterDelay = stored.receivedTs + this.#deps.delayMs
    return throttle === undefined ? afterDelay : Math.max(afterDelay, throttle.sentTs + throttle.waitMs)
  }

  async #send(
    pusher: PusherRecord,
    notifications: readonly UserNotification[],
    given: { due: Ready; throttles: ReadonlyMap<number, Throttle> },
  ): Promise<void> {
    const { db, pushers, mailer, mails, clock, delayMs } = this.#deps
    const { stored, room } = given.due.notification
    const last = given.throttles.get(room.roomNid)
    const now = clock.now()
    const mail = await mails.compose(pusher, notifications, {
      now,
      received_at: stored.receivedTs,
      delay_before_mail_ms: delayMs,
      last_sent_ts: last?.sentTs ?? 0,
      throttle_ms: last?.waitMs ?? 0,
    })
    await mailer.send(mail)
    const next = new Map<number, Throttle>()
    for (const { stored: told, room: ofRoom } of notifications) {
      const throttle = given.throttles.get(ofRoom.roomNid)
      next.set(ofRoom.roomNid, { sentTs: now, waitMs: nextWait(throttle, told.receivedTs) })
    }
    await db.write('save_mail_throttles', (tx) => pushers.setThrottles(tx, pusher.pusherId, next))
  }
}

function nextWait(throttle: Throttle | undefined, receivedTs: number): number {
  if (throttle === undefined || receivedTs - throttle.sentTs > QUIET_MS) return FIRST_WAIT_MS
  return LONG_WAIT_MS
}
