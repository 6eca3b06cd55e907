import { section } from '../section.js'
import { duration, flag, listOf, looseText, optional, text, withDefault } from '../values.js'

const HOUR_MS = 60 * 60_000

/** Servers that relay calls. */
export const turn = section(
  {
    turn_uris: withDefault(listOf(text, 'a list of turn: and turns: URIs'), []),
    turn_shared_secret: optional(looseText),
    turn_username: optional(looseText),
    turn_password: optional(looseText),
    turn_user_lifetime: withDefault(duration, HOUR_MS),
    turn_allow_guests: withDefault(flag, true),
  },
  (raw) => ({
    uris: raw.turn_uris,
    /** Known to the relays too, so that names and passwords can be made for each user. */
    sharedSecret: raw.turn_shared_secret,
    /** The same for everybody; where there is no shared secret. */
    username: raw.turn_username,
    password: raw.turn_password,
    /** For how long what users are given is good. */
    lifetimeMs: raw.turn_user_lifetime,
    allowsGuests: raw.turn_allow_guests,
  }),
)
