import type { ListenerAddress } from '../server/listeners.js'
import type { CheckedConfig } from './check-config.js'
import { describeDatabase } from './with-database.js'

/** What is to be known when a server has started, on one screen: where it listens, and how an administrator is made. */
export function describeStart(
  { config, log }: CheckedConfig,
  where: { addresses: readonly ListenerAddress[]; paths: readonly string[]; version: string },
): string {
  const listening = where.addresses.map((address) => ('url' in address ? address.url : address.path))
  const lines = [
    '',
    `mxhs ${where.version} serves ${config.server.serverName}`,
    '',
    ...listening.map((address, index) => `  ${index === 0 ? 'listens at' : '          '}  ${address}`),
    `  database    ${describeDatabase(config.database)}`,
    `  log         ${log.file ?? 'standard output'}`,
    '',
  ]
  const makesAccounts = config.authenticationService.service === undefined
  if (makesAccounts && config.registration.sharedSecret !== undefined) {
    lines.push('To make a user who is an administrator, in another terminal:', '')
    lines.push(`  ${registerCommand(where.paths)}`, '')
  }
  lines.push('Ctrl-C stops the server.', '')
  return lines.join('\n')
}

/** As this process was called: through npm in a checkout, or installed. */
function registerCommand(paths: readonly string[]): string {
  const isInstalled = process.env['npm_lifecycle_event'] === undefined
  const config = paths.map((path) => ` -c ${/^[\w./@-]+$/.test(path) ? path : `'${path}'`}`).join('')
  return `${isInstalled ? 'mxhs' : 'npx mxhs'} register-user --admin${config}`
}
