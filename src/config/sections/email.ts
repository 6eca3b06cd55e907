import { section } from '../section.js'
import {
  duration,
  flag,
  group,
  httpUrl,
  integer,
  jsonObject,
  optional,
  text,
  withDefault,
} from '../values.js'

const MINUTE_MS = 60_000

/** `%(app)s`, `%(person)s`, `%(room)s`, `%(space)s` and `%(server_name)s` stand for what the mail is about. */
const SUBJECTS = {
  message_from_person_in_room: '[%(app)s] %(person)s wrote to you in %(room)s',
  message_from_person: '[%(app)s] %(person)s wrote to you',
  messages_from_person: '[%(app)s] You have messages from %(person)s',
  messages_in_room: '[%(app)s] You have messages in %(room)s',
  messages_in_room_and_others: '[%(app)s] You have messages in %(room)s and other rooms',
  messages_from_person_and_others: '[%(app)s] You have messages from %(person)s and others',
  invite_from_person: '[%(app)s] %(person)s invites you to a conversation',
  invite_from_person_to_room: '[%(app)s] %(person)s invites you to %(room)s',
  invite_from_person_to_space: '[%(app)s] %(person)s invites you to the space %(space)s',
  password_reset: '[%(server_name)s] Reset your password',
  email_validation: '[%(server_name)s] Confirm your e-mail address',
  email_already_in_use: '[%(server_name)s] Your e-mail address has an account already',
} as const

export type EmailSubject = keyof typeof SUBJECTS

/** `email` and `templates`: how the server sends mail, and what it says in it. */
export const email = section(
  {
    email: optional(jsonObject),
    riot_base_url: optional(httpUrl),
    templates: group({ custom_template_directory: optional(text) }),
  },
  (raw, context) => ({
    /** Undefined: the server sends no mail. */
    mail: raw.email === undefined ? undefined : buildMail(raw.email, context, raw.riot_base_url),
    /** Templates here come before the program's own of the same name. */
    customTemplateDirectory: raw.templates.custom_template_directory,
  }),
)

/** What `email` may hold, with its defaults. */
export const mailSettings = group({
  smtp_host: withDefault(text, 'localhost'),
  smtp_port: optional(integer(1, 65_535)),
  smtp_user: optional(text),
  smtp_pass: optional(text),
  force_tls: withDefault(flag, false),
  require_transport_security: withDefault(flag, false),
  enable_tls: withDefault(flag, true),
  tlsname: optional(text),
  notif_from: optional(text),
  app_name: withDefault(text, 'Matrix'),
  enable_notifs: withDefault(flag, false),
  notif_for_new_users: withDefault(flag, true),
  notif_delay_before_mail: withDefault(duration, 10 * MINUTE_MS),
  client_base_url: optional(httpUrl),
  validation_token_lifetime: withDefault(duration, 60 * MINUTE_MS),
  invite_client_location: optional(httpUrl),
  template_dir: optional(text),
  subjects: withDefault(jsonObject, {}),
})

function buildMail(
  raw: Readonly<Record<string, unknown>>,
  { fail }: { fail: (path: readonly (string | number)[], message: string) => void },
  riotBaseUrl: string | undefined,
) {
  const parsed = mailSettings.safeParse(raw)
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      fail(['email', ...path.map(String)], `expected ${message}`)
    }
  }
  const mail = parsed.success ? parsed.data : mailSettings.parse({})
  if (mail.force_tls && !mail.enable_tls) fail(['email', 'force_tls'], 'enable_tls is false')
  if (parsed.success && mail.notif_from === undefined && mail.enable_notifs) {
    fail(['email', 'notif_from'], 'is missing: mail needs a sender')
  }
  return {
    smtp: {
      host: mail.smtp_host,
      port: mail.smtp_port ?? (mail.force_tls ? 465 : 25),
      user: mail.smtp_user,
      password: mail.smtp_pass,
      /** TLS from the first byte. */
      forceTls: mail.force_tls,
      /** Not a word without TLS. */
      requireTls: mail.require_transport_security,
      /** STARTTLS where the server offers it. */
      enableTls: mail.enable_tls,
      /** Whose certificate is expected; the host's by default. */
      tlsName: mail.tlsname,
    },
    /** The sender, with `%(app)s` in it. */
    from: mail.notif_from,
    appName: mail.app_name,
    /** Users may have notifications sent by mail. */
    sendsNotifications: mail.enable_notifs,
    /** Addresses that users register with get notifications unasked. */
    notifiesNewUsers: mail.notif_for_new_users,
    notificationDelayMs: mail.notif_delay_before_mail,
    /** Links to rooms lead here; undefined: to matrix.to. */
    clientBaseUrl: mail.client_base_url ?? riotBaseUrl,
    validationTokenLifetimeMs: mail.validation_token_lifetime,
    inviteClientLocation: mail.invite_client_location,
    templateDirectory: mail.template_dir,
    subjects: subjectsOf(mail.subjects, fail),
  }
}

function subjectsOf(
  given: Readonly<Record<string, unknown>>,
  fail: (path: readonly (string | number)[], message: string) => void,
): Readonly<Record<EmailSubject, string>> {
  const subjects: Record<string, string> = { ...SUBJECTS }
  for (const [name, subject] of Object.entries(given)) {
    if (typeof subject !== 'string') fail(['email', 'subjects', name], 'expected a text')
    else subjects[name] = subject
  }
  return subjects as Record<EmailSubject, string>
}

/** Puts values in the place of `%(name)s`; names without a value stay as they are. */
export function fillSubject(subject: string, values: Readonly<Record<string, string>>): string {
  return subject.replace(/%\((\w+)\)s/g, (whole, name: string) => values[name] ?? whole)
}
