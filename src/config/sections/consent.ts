import { section } from '../section.js'
import { flag, group, looseText, optional, text, withDefault } from '../values.js'

/** Versions are names of files. */
const VERSION = /^\w[\w.-]{0,99}$/

/** `user_consent`: the policy that people who register have to agree to. */
export const consent = section(
  {
    user_consent: optional(
      group({
        // A version of digits, such as `1.0`, is a number to YAML.
        version: looseText,
        template_dir: text,
        policy_name: withDefault(text, 'Privacy Policy'),
        require_at_registration: withDefault(flag, false),
      }),
    ),
  },
  ({ user_consent: raw }, context) => {
    if (raw === undefined) return { policy: undefined }
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
      },
    }
  },
)
