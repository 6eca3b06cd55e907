import { section } from '../section.js'
import { flag, listOf, text, withDefault } from '../values.js'

/** Bridges and bots that the operator has registered. */
export const appservices = section(
  {
    app_service_config_files: withDefault(listOf(text, 'a list of files'), []),
    track_appservice_user_ips: withDefault(flag, false),
    use_appservice_legacy_authorization: withDefault(flag, false),
  },
  (raw) => ({
    /** Files with one registration each. */
    files: raw.app_service_config_files,
    /** The addresses of requests are kept for users of application services too. */
    tracksAddresses: raw.track_appservice_user_ips,
    /** The token is sent in the query as well, as services of before 2023 expect. */
    sendsTokenInQuery: raw.use_appservice_legacy_authorization,
  }),
)
