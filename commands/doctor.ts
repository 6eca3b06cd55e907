import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { UsageError } from '../src/cli/failures.js'
import { configPaths } from '../src/cli/config-paths.js'
import type { DoctorCheck } from '../src/cli/doctor/doctor-check.js'
import type { DoctorReport } from '../src/cli/doctor/examine.js'

const EXIT_CODES = { ok: 0, info: 0, warning: 3, error: 1 } as const

export default class Doctor extends BaseCommand {
  static override summary = 'Look for everything that may be wrong with a server, inside and outside.'
  static override description =
    'Goes through configuration, files, keys, disks, database, rooms and queues, then out and back in: names, ' +
    'certificates, reverse proxy, federation, services that let people in, clock, mail, relays for calls and push ' +
    'gateways. Each finding comes with what comes of it and the command or line that mends it. The server may run, and ' +
    'should: some things only it can tell. Nothing is changed without --fix, and with it only what is safe: permissions and files left behind.\n\n' +
    'Checks: configuration, files, keys, disk, database, rooms, queues, server, dns, tls, proxy, well-known, ' +
    'authentication-service, federation, identity-providers, modules, clock, smtp, turn, push.\n\n' +
    'The exit code is 0 when nothing is wrong, 3 for warnings, 1 for errors.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --server matrix.org',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --only tls --only proxy',
    `<%= config.bin %> <%= command.id %> -c homeserver.yaml --json | jq '.results[].findings[] | select(.level == "error")'`,
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    server: Flags.string({ helpValue: 'NAME', description: 'try federation with this server, too' }),
    only: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'CHECK',
      description: 'run this check alone (may repeat)',
      exclusive: ['skip'],
    }),
    skip: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'CHECK',
      description: 'leave this check out (may repeat)',
    }),
    offline: Flags.boolean({ description: 'ask nothing over the network but the database' }),
    fix: Flags.boolean({ description: 'mend what is safe to mend, and say what was done' }),
    timeout: Flags.integer({
      helpValue: 'SECONDS',
      default: 60,
      min: 1,
      max: 3600,
      description: 'how long a check may take',
    }),
  }

  async run(): Promise<DoctorReport> {
    const { flags } = await this.parse(Doctor)
    const [{ examine }, { DOCTOR_CHECKS }, { printFindings, summarize }, { serverNameArgument }] =
      await Promise.all([
        import('../src/cli/doctor/examine.js'),
        import('../src/cli/doctor/checks.js'),
        import('../src/cli/doctor/print-findings.js'),
        import('../src/cli/federation-network.js'),
      ])
    const isTerminal = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
    const width = process.stdout.columns
    const report = await examine({
      paths: configPaths(flags.config),
      checks: chosen(DOCTOR_CHECKS, flags),
      server: flags.server === undefined ? undefined : serverNameArgument(flags.server),
      fixes: flags.fix,
      timeoutMs: flags.timeout * 1000,
      onResult: (result) => this.log(printFindings(result, { isTerminal, width })),
    })
    this.log(`\n${summarize(report.results)}`)
    process.exitCode = EXIT_CODES[report.level]
    return report
  }
}

function chosen(
  checks: readonly DoctorCheck[],
  flags: { only: string[] | undefined; skip: string[] | undefined; offline: boolean },
): readonly DoctorCheck[] {
  const names = checks.map(({ name }) => name)
  const unknown = [...(flags.only ?? []), ...(flags.skip ?? [])].find((name) => !names.includes(name))
  if (unknown !== undefined) {
    throw new UsageError(`There is no check ${unknown}; there are ${names.join(', ')}`)
  }
  return checks.filter(
    ({ name, usesNetwork }) =>
      (flags.only?.includes(name) ?? true) &&
      flags.skip?.includes(name) !== true &&
      !(flags.offline && usesNetwork),
  )
}
