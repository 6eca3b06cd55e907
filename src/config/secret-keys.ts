import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import type { KeyPath } from './config-error.js'

/**
 * The secrets of a configuration. Each may stand in a file of its own, which `<key>_path` names (beside the key:
 * `database.args.password_path`), or be a credential of systemd with the name of the key (`database.args.password`).
 */
export const SECRET_KEYS: readonly (readonly string[])[] = [
  ['registration_shared_secret'],
  ['macaroon_secret_key'],
  ['form_secret'],
  ['turn_shared_secret'],
  ['turn_password'],
  ['recaptcha_private_key'],
  ['password_config', 'pepper'],
  ['email', 'smtp_pass'],
  ['jwt_config', 'secret'],
  ['matrix_authentication_service', 'secret'],
  ['database', 'args', 'password'],
]

/** No secrets, but these too may stand in files of their own. */
export const KEYS_IN_FILES: readonly (readonly string[])[] = [['recaptcha_public_key']]

/** A credential only: `signing_key_path` is the key's own setting. */
export const SIGNING_KEY = ['signing_key'] as const

/** What stands in the place of a secret. */
export const MASK = '********'

/** By their last part, so that secrets of settings that are handed on (to stores of files) are known too. */
const SECRET =
  /secret|(?:^|_)pass(?:word)?$|pepper|(?:^|_)(?:signing|private)_key$|^(?:dsn|authorization)$|(?:session|admin)_token$/
/** `user:password@` of a URL. */
const URL_PASSWORD = /(\w+:\/\/[^/\s:@]*:)[^@/\s]*(?=@)/g

/** Whether what stands there is not to be seen in logs. */
export function isSecretPath(path: KeyPath): boolean {
  return path.some((key) => typeof key === 'string' && isSecretName(key))
}

function isSecretName(key: string): boolean {
  return SECRET.test(key) && !key.endsWith('_path')
}

/** The same values with a mask for each secret, also where it is a part of a URL. */
export function maskSecrets(values: JsonObject): JsonObject {
  return maskValue(values, false) as JsonObject
}

function maskValue(value: JsonValue, isSecret: boolean): JsonValue {
  if (Array.isArray(value)) return value.map((element) => maskValue(element, isSecret))
  if (isJsonObject(value)) {
    const masked = Object.entries(value).map(([key, part]) => [
      key,
      maskValue(part, isSecret || isSecretName(key)),
    ])
    return Object.fromEntries(masked) as JsonObject
  }
  if (typeof value === 'boolean' || value === null || value === '') return value
  if (isSecret) return MASK
  return typeof value === 'string' ? value.replace(URL_PASSWORD, `$1${MASK}`) : value
}
