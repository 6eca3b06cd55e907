/** Modules that are known and have no equivalent here: the first part of their name, and what is lost without them. */
const KNOWN: Readonly<Record<string, string>> = {
  pam_auth_provider: 'people who log in with the password of an account of the system cannot',
  synapse_token_authenticator: 'people who log in by tokens of another service cannot (jwt_config is served)',
  http_auth_provider: 'people whose passwords another service checks cannot log in',
  smf_auth_provider: 'people who log in with the password of a forum cannot',
  mjolnir: 'use Draupnir or Meowlnir, and synapse_http_antispam.HTTPAntispam, which is served',
  synapse_domain_rule_checker: 'whom people may invite and which rooms they may join is not limited',
  synapse_invite_checker: 'invitations are not looked at',
  synapse_user_restrictions: 'people may do what it would have forbidden them',
  synapse_guest_module: 'guests are those of allow_guest_access',
  manage_last_admin: 'rooms whose last administrator leaves keep their power levels',
  freeze_room: 'rooms whose last administrator leaves are not frozen',
  room_access_rules: 'rooms have no rules of access beyond those of the specification',
  email_account_validity: 'accounts do not expire',
  synapse_s3_storage_provider: 'write it into media_storage_providers, where it is served',
  s3_storage_provider: 'write it into media_storage_providers, where it is served',
}

/** What is to be said of a module that this server does not have; `isForPasswords`: it stands where only such ones do. */
export function describeUnserved(name: string, isForPasswords: boolean): string {
  const head = name.split('.')[0] ?? ''
  const known = Object.hasOwn(KNOWN, head) ? KNOWN[head] : undefined
  const loss =
    known ??
    (isForPasswords
      ? 'people who log in by it cannot'
      : 'what it does is not done, and people who log in by it cannot')
  return `mxhs runs no modules written in Python, and has no equivalent of ${name}: ${loss}`
}
