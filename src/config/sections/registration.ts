import { z } from 'zod'
import { section, type SectionContext } from '../section.js'
import { choice, flag, jsonObject, listOf, optional, text, withDefault } from '../values.js'

const threepidPattern = z.object({ medium: z.enum(['email', 'msisdn']), pattern: z.string() })

/** Who may make accounts, and what new ones begin with. */
export const registration = section(
  {
    enable_registration: withDefault(flag, false),
    enable_registration_without_verification: withDefault(flag, false),
    registration_requires_token: withDefault(flag, false),
    registration_shared_secret: optional(text),
    enable_registration_captcha: withDefault(flag, false),
    registrations_require_3pid: withDefault(listOf(choice('email', 'msisdn')), []),
    // Whether there is any mail; what it says is read elsewhere.
    email: optional(jsonObject),
    allow_guest_access: withDefault(flag, false),
    inhibit_user_in_use_error: withDefault(flag, false),
    allow_underscore_prefixed_registration: withDefault(flag, false),
    enable_set_displayname: withDefault(flag, true),
    enable_set_avatar_url: withDefault(flag, true),
    enable_3pid_changes: withDefault(flag, true),
    enable_3pid_lookup: withDefault(flag, true),
    allowed_local_3pids: optional(listOf(threepidPattern, 'a list of {medium, pattern}')),
    request_token_inhibit_3pid_errors: withDefault(flag, false),
    next_link_domain_whitelist: optional(listOf(text, 'a list of domains')),
    auto_join_rooms: withDefault(listOf(text, 'a list of room aliases or room IDs'), []),
    autocreate_auto_join_rooms: withDefault(flag, true),
    autocreate_auto_join_rooms_federated: withDefault(flag, true),
    autocreate_auto_join_room_preset: withDefault(
      choice('public_chat', 'private_chat', 'trusted_private_chat'),
      'public_chat',
    ),
    auto_join_mxid_localpart: optional(text),
    auto_join_rooms_for_guests: withDefault(flag, true),
  },
  (raw, context) => {
    const unavailableStage = missingStage(raw)
    checkVerified(raw, context)
    checkAutoJoin(raw, context)
    if (raw.enable_registration && unavailableStage !== undefined) {
      context.warn(
        ['enable_registration'],
        `nobody can register: the stage ${unavailableStage}, which is demanded, is not served yet`,
      )
    }
    return {
      /** Whether anybody may register. */
      enabled: raw.enable_registration,
      requiresToken: raw.registration_requires_token,
      sharedSecret: raw.registration_shared_secret,
      /** A proof that the operator demands and the server cannot ask for: then nobody can register. */
      unavailableStage,
      allowGuestAccess: raw.allow_guest_access,
      inhibitUserInUseError: raw.inhibit_user_in_use_error,
      allowUnderscorePrefix: raw.allow_underscore_prefixed_registration,
      maySetDisplayName: raw.enable_set_displayname,
      maySetAvatarUrl: raw.enable_set_avatar_url,
      mayChangeThreepids: raw.enable_3pid_changes,
      /** Whether people may be invited through identity servers, which the clients choose. */
      asksIdentityServers: raw.enable_3pid_lookup,
      /** An address has to be proven by who registers. */
      requiresEmail: raw.registrations_require_3pid.includes('email'),
      /** Which addresses may be added; undefined: all. */
      allowedThreepids: raw.allowed_local_3pids && compilePatterns(raw.allowed_local_3pids, context),
      /** Nobody learns by asking for a mail whether an address has an account. */
      hidesThreepidOwners: raw.request_token_inhibit_3pid_errors,
      /** Where links may lead that clients want in mails; undefined: anywhere. */
      nextLinkDomains: raw.next_link_domain_whitelist && new Set(raw.next_link_domain_whitelist),
      autoJoin: {
        rooms: raw.auto_join_rooms,
        createsRooms: raw.autocreate_auto_join_rooms,
        createsFederatedRooms: raw.autocreate_auto_join_rooms_federated,
        preset: raw.autocreate_auto_join_room_preset,
        /** Who creates the rooms and invites to those that are not public. */
        inviterLocalpart: raw.auto_join_mxid_localpart,
        includesGuests: raw.auto_join_rooms_for_guests,
      },
    }
  },
)

interface RawRegistration {
  readonly enable_registration: boolean
  readonly enable_registration_without_verification: boolean
  readonly enable_registration_captcha: boolean
  readonly registration_requires_token: boolean
  readonly registrations_require_3pid: readonly ('email' | 'msisdn')[]
  readonly email: unknown
  readonly auto_join_rooms: readonly string[]
  readonly autocreate_auto_join_room_preset: string
  readonly auto_join_mxid_localpart: string | undefined
}

/** Patterns match from the start of an address, as in Synapse. */
function compilePatterns(
  patterns: readonly z.output<typeof threepidPattern>[],
  context: SectionContext,
): { medium: string; matches: (address: string) => boolean }[] {
  return patterns.flatMap(({ medium, pattern }, index) => {
    try {
      const regex = new RegExp(`^(?:${pattern})`)
      return [{ medium, matches: (address: string) => regex.test(address) }]
    } catch {
      context.fail(['allowed_local_3pids', index, 'pattern'], 'expected a regular expression')
      return []
    }
  })
}

function missingStage(raw: RawRegistration): string | undefined {
  if (raw.registrations_require_3pid.includes('msisdn')) return 'm.login.msisdn'
  if (raw.registrations_require_3pid.includes('email') && raw.email === undefined)
    return 'm.login.email.identity'
  return undefined
}

/** Open registration is an invitation to spammers, so it must be asked for twice. */
function checkVerified(raw: RawRegistration, context: SectionContext): void {
  const verified =
    raw.registration_requires_token ||
    raw.enable_registration_captcha ||
    raw.registrations_require_3pid.length > 0
  if (!raw.enable_registration || verified || raw.enable_registration_without_verification) return
  context.fail(
    ['enable_registration'],
    'registration without verification attracts spammers: set registration_requires_token: true, ' +
      'or enable_registration_without_verification: true if you know what you are doing',
  )
}

function checkAutoJoin(raw: RawRegistration, context: SectionContext): void {
  const creatorNeeded = raw.autocreate_auto_join_room_preset !== 'public_chat'
  if (raw.auto_join_rooms.length > 0 && creatorNeeded && raw.auto_join_mxid_localpart === undefined) {
    context.fail(
      ['autocreate_auto_join_room_preset'],
      'rooms that are not public need auto_join_mxid_localpart: who invites to them',
    )
  }
  raw.auto_join_rooms.forEach((room, index) => {
    if (!/^[#!]/.test(room)) {
      context.fail(
        ['auto_join_rooms', index],
        `expected a room alias or room ID, got ${JSON.stringify(room)}`,
      )
    }
  })
}
