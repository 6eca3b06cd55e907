import { section } from '../section.js'
import { flag, looseText, optional, text, withDefault } from '../values.js'

/** The puzzle that sets people apart from programs. */
export const captcha = section(
  {
    enable_registration_captcha: withDefault(flag, false),
    recaptcha_public_key: optional(looseText),
    recaptcha_private_key: optional(looseText),
    recaptcha_siteverify_api: withDefault(text, 'https://www.recaptcha.net/recaptcha/api/siteverify'),
  },
  (raw, { fail }) => {
    const { recaptcha_public_key: publicKey, recaptcha_private_key: secret } = raw
    if (!URL.canParse(raw.recaptcha_siteverify_api)) fail(['recaptcha_siteverify_api'], 'expected a URL')
    if (raw.enable_registration_captcha) {
      if (publicKey === undefined)
        fail(['recaptcha_public_key'], 'is missing: enable_registration_captcha needs it')
      if (secret === undefined)
        fail(['recaptcha_private_key'], 'is missing: enable_registration_captcha needs it')
    }
    return {
      /** Whoever registers has to solve it. */
      isRequired: raw.enable_registration_captcha,
      /** Undefined: there is none. */
      service:
        publicKey === undefined || secret === undefined
          ? undefined
          : { publicKey, secret, url: raw.recaptcha_siteverify_api },
    }
  },
)
