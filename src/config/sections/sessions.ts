import { section } from '../section.js'
import { duration, flag, group, integer, looseText, optional, text, value, withDefault } from '../values.js'

const MINUTE_MS = 60_000

/** `only_for_reauth`: for confirming who one is, not for logging in. */
const passwordUse = value<boolean | 'only_for_reauth'>('true, false or only_for_reauth', (raw) =>
  typeof raw === 'boolean' || raw === 'only_for_reauth' ? raw : undefined,
)

/** How people log in, and how long that lasts. */
export const sessions = section(
  {
    bcrypt_rounds: withDefault(integer(4, 31), 12),
    password_config: group({
      enabled: withDefault(passwordUse, true),
      localdb_enabled: withDefault(flag, true),
      pepper: withDefault(looseText, ''),
      policy: group({
        enabled: withDefault(flag, false),
        minimum_length: withDefault(integer(0, 512), 0),
        require_digit: withDefault(flag, false),
        require_symbol: withDefault(flag, false),
        require_lowercase: withDefault(flag, false),
        require_uppercase: withDefault(flag, false),
      }),
    }),
    session_lifetime: optional(duration),
    refreshable_access_token_lifetime: withDefault(duration, 5 * MINUTE_MS),
    refresh_token_lifetime: optional(duration),
    nonrefreshable_access_token_lifetime: optional(duration),
    ui_auth: group({ session_timeout: withDefault(duration, 0) }),
    login_via_existing_session: group({
      enabled: withDefault(flag, false),
      require_ui_auth: withDefault(flag, true),
      token_timeout: withDefault(duration, 5 * MINUTE_MS),
    }),
    track_puppeted_user_ips: withDefault(flag, false),
    macaroon_secret_key: optional(text),
    form_secret: optional(text),
  },
  (raw) => {
    const { enabled, localdb_enabled: local, pepper, policy } = raw.password_config
    return {
      passwords: {
        /** Of whomever: this server's own are none where it has no database of them. */
        enabled,
        mayLogIn: enabled === true && local,
        mayReauthenticate: enabled !== false && local,
        bcryptRounds: raw.bcrypt_rounds,
        /** Appended to every password before it is hashed. */
        pepper,
        policy: {
          enabled: policy.enabled,
          minimumLength: policy.minimum_length,
          requireDigit: policy.require_digit,
          requireSymbol: policy.require_symbol,
          requireLowercase: policy.require_lowercase,
          requireUppercase: policy.require_uppercase,
        },
      },
      /** Undefined: for ever. */
      lifetimes: {
        sessionMs: raw.session_lifetime,
        refreshableAccessTokenMs: raw.refreshable_access_token_lifetime,
        refreshTokenMs: raw.refresh_token_lifetime,
        nonrefreshableAccessTokenMs: raw.nonrefreshable_access_token_lifetime,
      },
      /** For how long a proof of identity counts for further requests. */
      uiAuthReuseMs: raw.ui_auth.session_timeout,
      loginTokens: {
        enabled: raw.login_via_existing_session.enabled,
        requireUiAuth: raw.login_via_existing_session.require_ui_auth,
        lifetimeMs: raw.login_via_existing_session.token_timeout,
      },
      /** Addresses of administrators who act as a user are kept as the user's, too. */
      tracksPuppets: raw.track_puppeted_user_ips,
      macaroonSecretKey: raw.macaroon_secret_key,
      formSecret: raw.form_secret,
    }
  },
)
