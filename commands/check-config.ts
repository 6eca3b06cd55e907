import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../src/cli/base-command.js'
import { checkConfig, type ConfigReport } from '../src/cli/check-config.js'
import { configPaths } from '../src/cli/config-paths.js'
import type { MigratedFile } from '../src/cli/config-migration.js'
import type { JsonObject } from '../src/util/json.js'

interface EffectiveReport extends ConfigReport {
  readonly effective: JsonObject
}

interface MigrationReport {
  readonly files: readonly MigratedFile[]
}

export default class CheckConfig extends BaseCommand {
  static override summary = 'Check a configuration without starting the server.'
  static override description =
    'Reads the configuration as the server would, with the files that it leads to (signing key, certificates, log). ' +
    'Errors and warnings name the file, line and column.\n\n' +
    'With --print-effective it is printed with all defaults; secrets are masked. With --migrate, keys that are out of ' +
    'date are shown with what says the same today, and with --write the files are changed: comments stay, and each ' +
    'file is copied to FILE.bak before.'

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml -c conf.d',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --print-effective',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --migrate --write',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --json',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    'print-effective': Flags.boolean({
      description: 'print the configuration with all defaults, without secrets',
      exclusive: ['migrate'],
    }),
    migrate: Flags.boolean({ description: 'show what replaces keys that are out of date' }),
    write: Flags.boolean({ description: 'write it into the files', dependsOn: ['migrate'] }),
  }

  async run(): Promise<ConfigReport | EffectiveReport | MigrationReport> {
    const { flags } = await this.parse(CheckConfig)
    const paths = configPaths(flags.config)
    if (flags.migrate) return this.#migrate(paths, flags.write)
    if (flags['print-effective']) return this.#printEffective(paths)
    const report = await checkConfig(paths)
    if (!this.jsonEnabled()) this.noteWarnings(report.warnings)
    this.log(`The configuration of ${report.serverName} is valid.`)
    return report
  }

  async #printEffective(paths: readonly string[]): Promise<EffectiveReport> {
    // Of a package in CommonJS that is loaded later, the built program has nothing but the default.
    const [{ loadEffective }, { default: yaml }] = await Promise.all([
      import('../src/config/effective.js'),
      import('yaml'),
    ])
    const { config, warnings, effective } = await loadEffective(paths)
    if (!this.jsonEnabled()) this.noteWarnings(warnings)
    this.log(yaml.stringify(effective, { version: '1.1', lineWidth: 0 }).trimEnd())
    return { serverName: config.server.serverName, warnings, effective }
  }

  async #migrate(paths: readonly string[], writes: boolean): Promise<MigrationReport> {
    const { migrateConfig } = await import('../src/cli/config-migration.js')
    const files = await migrateConfig(paths, { writes })
    for (const { file, changes, byHand, backup } of files) {
      if (changes.length > 0) this.log(file)
      for (const { line, removed, added } of changes) {
        this.log(`@@ line ${line} @@`)
        for (const text of removed) this.log(`-${text}`)
        for (const text of added) this.log(`+${text}`)
      }
      for (const { key, line, message } of byHand) this.note(`by hand: ${file}:${line}: ${key}: ${message}`)
      if (backup !== null) this.note(`${file} has been written; as it was: ${backup}`)
    }
    const isChanged = files.some(({ changes }) => changes.length > 0)
    if (!isChanged) this.note('No key is out of date that can be replaced.')
    else if (!writes) this.note('Nothing has been written: --write does it.')
    return { files }
  }
}
