import { flag, httpUrl, listOf, mapOf, optional, text, withDefault } from '../values.js'
import { moduleKind, type ModuleContext } from './module-kind.js'

/** What a service can be asked, by the names of Synapse's callbacks. */
export const SPAM_CALLBACKS = [
  'user_may_join_room',
  'accept_make_join',
  'user_may_invite',
  'user_may_send_3pid_invite',
  'user_may_create_room',
  'user_may_create_room_alias',
  'user_may_publish_room',
  'check_username_for_spam',
  'check_login_for_spam',
  'check_event_for_spam',
  'federated_user_may_invite',
] as const

export type SpamCallback = (typeof SPAM_CALLBACKS)[number]

/** A service says what is spam: Draupnir or Meowlnir. https://github.com/maunium/synapse-http-antispam */
export const httpAntispam = moduleKind({
  classes: ['synapse_http_antispam.HTTPAntispam'],
  files: [['authorization_path', 'authorization']],
  keys: {
    base_url: httpUrl,
    authorization: optional(text),
    do_ping: withDefault(flag, false),
    enabled_callbacks: optional(listOf(text, 'a list of callbacks')),
    fail_open: withDefault(mapOf(flag), {}),
    async: withDefault(mapOf(flag), {}),
  },
  build(raw, context) {
    raw.enabled_callbacks?.forEach((name, index) => checkName(name, ['enabled_callbacks', index], context))
    for (const key of ['fail_open', 'async'] as const) {
      for (const name of Object.keys(raw[key])) checkName(name, [key, name], context)
    }
    const enabled = raw.enabled_callbacks ?? SPAM_CALLBACKS
    return {
      kind: 'antispam' as const,
      /** Without slashes at its end. */
      baseUrl: raw.base_url.replace(/\/+$/, ''),
      token: raw.authorization?.trim(),
      pings: raw.do_ping,
      /** What the service is asked, and what becomes of it where it does not answer. */
      callbacks: SPAM_CALLBACKS.filter((name) => enabled.includes(name)).map((name) => ({
        name,
        /** Without an answer, it is allowed. Events by default: else nothing would arrive any more. */
        failsOpen: raw.fail_open[name] ?? name === 'check_event_for_spam',
        /** Nobody waits for the answer; it is allowed. */
        isOnlyTold: raw.async[name] === true,
      })),
    }
  },
})

function checkName(name: string, path: (string | number)[], { fail }: ModuleContext): void {
  if (SPAM_CALLBACKS.some((known) => known === name)) return
  fail(path, `expected one of ${SPAM_CALLBACKS.join(', ')}`)
}
