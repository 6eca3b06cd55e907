import type { KeyPath } from '../config-error.js'
import { section, type SectionContext } from '../section.js'
import type { JsonObject } from '../../util/json.js'
import { flag, group, jsonObject, looseText, optional, text, withDefault } from '../values.js'

/** Versions are names of files. */
const VERSION = /^\w[\w.-]{0,99}$/

/** `user_consent`: the policy that people have to agree to. */
export const consent = section(
  {
    user_consent: optional(
      group({
        // A version of digits, such as `1.0`, is a number to YAML.
        version: looseText,
        template_dir: text,
        policy_name: withDefault(text, 'Privacy Policy'),
        require_at_registration: withDefault(flag, false),
        server_notice_content: optional(jsonObject),
        send_server_notice_to_guests: withDefault(flag, false),
        block_events_error: optional(text),
      }),
    ),
    // Whether there is a secret to sign links with, and somebody to send them: what these say is read elsewhere.
    form_secret: optional(text),
    server_notices: optional(jsonObject),
  },
  ({ user_consent: raw, ...others }, context) => {
    if (raw === undefined) return { policy: undefined }
    checkTelling({ ...raw, ...others }, context)
    if (!VERSION.test(raw.version)) {
      context.fail(
        ['user_consent', 'version'],
        'expected the name of a template in template_dir, without .html',
      )
    }
    return {
      /** Undefined: there is none. */
      policy: {
        version: raw.version,
        name: raw.policy_name,
        /** `en/<version>.html` in this directory is the policy's text. */
        templateDirectory: raw.template_dir,
        /** Nobody registers without agreeing. */
        isRequired: raw.require_at_registration,
        /** What people are sent who have not agreed, with `%(consent_uri)s` where the link is to be. */
        notice: raw.server_notice_content,
        tellsGuests: raw.send_server_notice_to_guests,
        /** What people are told who have not agreed and want to say something; without it they may. */
        refusal: raw.block_events_error,
      },
    }
  },
)

interface RawTelling {
  readonly server_notice_content: JsonObject | undefined
  readonly block_events_error: string | undefined
  readonly form_secret: string | undefined
  readonly server_notices: JsonObject | undefined
}

/** Whoever is to agree is told by a link where. */
function checkTelling(raw: RawTelling, { fail }: SectionContext): void {
  const { server_notice_content: notice, block_events_error: refusal } = raw
  const at = (key: string): KeyPath => ['user_consent', key]
  if ((notice !== undefined || refusal !== undefined) && raw.form_secret === undefined) {
    const key = notice === undefined ? 'block_events_error' : 'server_notice_content'
    fail(at(key), 'needs form_secret, which signs the links by which people agree')
  }
  if (notice === undefined) return
  if (raw.server_notices === undefined) fail(at('server_notice_content'), 'needs server_notices: who speaks')
  if (typeof notice['body'] !== 'string') fail(at('server_notice_content'), 'needs a body: what is said')
}
