import { fillSubject, type EmailSubject } from '../../config/sections/email.js'
import { localpartOf } from '../../protocol/ids.js'
import type { Mail } from '../../net/mailer.js'
import type { Templates } from '../../net/templates.js'
import type { Database } from '../../storage/database.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { PusherRecord } from '../../storage/stores/pushers.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { UserNotification } from './notified-events.js'
import type { RoomNames } from './room-names.js'
import { messageHtml, plainBody } from './message-html.js'
import type { UnsubscribeLinks } from './unsubscribe-links.js'
import { groupBy } from '../../util/group-by.js'

export interface NotificationMailOptions {
  readonly appName: string
  readonly subjects: Readonly<Record<EmailSubject, string>>
  /** Links to rooms lead here; undefined: to matrix.to. */
  readonly clientBaseUrl: string | undefined
}

export interface NotificationMailDependencies {
  readonly db: Database
  readonly templates: Pick<Templates, 'render'>
  readonly roomNames: Pick<RoomNames, 'get'>
  readonly members: Pick<RoomMembersStore, 'getMany'>
  readonly profiles: Pick<ProfilesStore, 'get'>
  readonly links: Pick<UnsubscribeLinks, 'linkFor'>
  readonly options: NotificationMailOptions
}

/** Why a mail is sent now: for templates. */
export interface MailReason {
  readonly now: number
  readonly received_at: number
  readonly delay_before_mail_ms: number
  readonly last_sent_ts: number
  readonly throttle_ms: number
}

/** What a template is told of a room: Synapse's names. */
interface MailRoom {
  readonly title: string
  readonly hash: number
  readonly invite: boolean
  readonly notifs: MailNotification[]
  readonly link: string
  readonly avatar_url: string | undefined
  /** It has a name of its own. */
  readonly isNamed: boolean
}

interface MailNotification {
  readonly link: string
  readonly ts: number
  readonly messages: readonly MailMessage[]
}

interface MailMessage {
  readonly event_type: string
  readonly is_historical: boolean
  readonly id: string
  readonly ts: number
  readonly sender_name: string
  readonly sender_avatar_url: string | undefined
  readonly sender_hash: number
  readonly msgtype?: string
  readonly body_text_html?: string
  readonly body_text_plain?: string
  readonly image_url?: string
}

/** Events of a room that are shown. */
const MAX_SHOWN = 20

/** Writes mails about what is unread. */
export class NotificationMail {
  readonly #deps: NotificationMailDependencies

  constructor(deps: NotificationMailDependencies) {
    this.#deps = deps
  }

  /** `notifications`: at least one, the oldest first. */
  async compose(
    pusher: PusherRecord,
    notifications: readonly UserNotification[],
    reason: MailReason,
  ): Promise<Mail> {
    const { db, templates, profiles, links, options } = this.#deps
    const rooms = await this.#describeRooms(pusher, notifications)
    const profile = await profiles.get(db.reader, pusher.userId)
    const { subject, summary } = this.#subjectOf(rooms)
    const unsubscribeUrl = links.linkFor(pusher)
    const variables = {
      user_display_name: profile?.displayName ?? localpartOf(pusher.userId),
      unsubscribe_link: unsubscribeUrl,
      summary_text: summary,
      rooms,
      reason: { ...reason, room_name: rooms[0]?.title ?? '' },
      app_name: options.appName,
    }
    return {
      to: pusher.pushkey,
      subject,
      unsubscribeUrl,
      text: await templates.render('notif_mail.txt', variables),
      html: await templates.render('notif_mail.html', variables),
    }
  }

  async #describeRooms(
    { userId }: PusherRecord,
    notifications: readonly UserNotification[],
  ): Promise<MailRoom[]> {
    const byRoom = groupBy(notifications, ({ room }) => room.roomNid)
    return Promise.all(
      [...byRoom.values()].map(async (ofRoom) => {
        const shown = ofRoom.slice(-MAX_SHOWN)
        const { room } = shown[0]!
        const { name, isOwn } = await this.#deps.roomNames.get(userId, room.roomNid)
        return {
          title: name ?? 'A room',
          hash: hashOf(room.roomId),
          avatar_url: undefined,
          invite: shown.every(({ stored }) => stored.event.content['membership'] === 'invite'),
          notifs: await this.#describeEvents(shown),
          link: this.#linkTo(room.roomId),
          isNamed: isOwn,
        }
      }),
    )
  }

  async #describeEvents(notifications: readonly UserNotification[]): Promise<MailNotification[]> {
    const roomNid = notifications[0]?.room.roomNid ?? 0
    const senders = [...new Set(notifications.map(({ stored }) => stored.event.sender))]
    const members = await this.#deps.members.getMany(this.#deps.db.reader, roomNid, senders)
    return Promise.all(
      notifications.map(async ({ stored: { event, receivedTs } }) => {
        const member = members.get(event.sender)
        const { msgtype, url } = event.content
        const message: MailMessage = {
          event_type: event.type,
          is_historical: false,
          id: event.eventId,
          ts: event.originServerTs,
          sender_name: member?.displayName ?? event.sender,
          sender_avatar_url: member?.avatarUrl,
          sender_hash: hashOf(event.sender),
          ...(typeof msgtype === 'string' && { msgtype }),
          ...(event.type === 'm.room.message' && {
            body_text_html: await messageHtml(event.content),
            body_text_plain: plainBody(event.content),
          }),
          ...(msgtype === 'm.image' && typeof url === 'string' && { image_url: url }),
        }
        return { link: this.#linkTo(event.roomId, event.eventId), ts: receivedTs, messages: [message] }
      }),
    )
  }

  #linkTo(roomId: string, eventId?: string): string {
    const base = this.#deps.options.clientBaseUrl?.replace(/\/+$/, '')
    const target = [roomId, ...(eventId === undefined ? [] : [eventId])].map(encodeURIComponent).join('/')
    return base === undefined ? `https://matrix.to/#/${target}` : `${base}/#/room/${target}`
  }

  #subjectOf(rooms: readonly MailRoom[]): { subject: string; summary: string } {
    const { appName, subjects } = this.#deps.options
    const name = subjectNameOf(rooms)
    const first = rooms[0]
    const person = first?.notifs.at(-1)?.messages[0]?.sender_name ?? ''
    const title = first?.title ?? ''
    const values = { app: appName, person, room: title, space: title }
    const subject = fillSubject(subjects[name], values).replaceAll(/[\r\n]+/g, ' ')
    return { subject, summary: subject }
  }
}

function subjectNameOf(rooms: readonly MailRoom[]): EmailSubject {
  const [room, ...others] = rooms
  if (room === undefined) return 'message_from_person'
  const senders = new Set(
    room.notifs.flatMap(({ messages }) => messages.map((message) => message.sender_name)),
  )
  if (others.length > 0)
    return room.isNamed ? 'messages_in_room_and_others' : 'messages_from_person_and_others'
  if (room.invite) return room.isNamed ? 'invite_from_person_to_room' : 'invite_from_person'
  if (room.notifs.length === 1) return room.isNamed ? 'message_from_person_in_room' : 'message_from_person'
  return room.isNamed || senders.size > 1 ? 'messages_in_room' : 'messages_from_person'
}

/** A small number for a colour. */
function hashOf(text: string): number {
  let hash = 0
  for (const character of text) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 1_000_003
  return hash % 3
}
