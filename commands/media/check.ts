import { Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { CommandFailure } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { formatBytes } from '../../src/cli/format-bytes.js'
import { withMedia, type MediaTools } from '../../src/cli/with-media.js'

type Report = Awaited<ReturnType<MediaTools['check']['run']>>

export default class MediaCheck extends BaseCommand {
  static override summary = 'Hold the files against what the database says of them.'
  static override description =
    'Finds files that nothing refers to, entries whose file is lost, files that a store should have and has not, and ' +
    'uploads that never ended. Changes nothing without --fix. The server may run meanwhile: what is younger than an ' +
    'hour is left alone. Ends with exit code 1 when something is wrong and has not been put right.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml --fix',
  ]

  static override enableJsonFlag = true

  static override flags = {
    config: configFlag,
    fix: Flags.boolean({
      description: 'delete what nothing refers to and entries whose file is lost, and copy what is missing',
    }),
    now: Flags.boolean({
      description: 'look at files of the last hour too: only while no server runs',
    }),
  }

  async run(): Promise<Report> {
    const { flags } = await this.parse(MediaCheck)
    const options = { fix: flags.fix, ...(flags.now ? { graceMs: 0 } : {}) }
    const report = await withMedia(configPaths(flags.config), ({ check }) => check.run(options))
    if (!this.jsonEnabled()) this.#print(report)
    if (!flags.fix && countProblems(report) > 0) {
      if (!this.jsonEnabled()) throw new CommandFailure('Something is wrong: --fix puts it right')
      this.logJson(report)
      this.exit(1)
    }
    return report
  }

  #print(report: Report): void {
    for (const key of report.lost) this.log(`lost      ${key}`)
    for (const { store, key, length } of report.orphans) {
      this.log(`unused    ${key}  ${formatBytes(length)}  ${store}`)
    }
    for (const { store, key } of report.uncopied) this.log(`missing   ${key}  ${store}`)
    if (report.unfinished > 0) this.log(`unfinished uploads: ${report.unfinished}`)
    this.log(`${report.files} files are as they should be, ${countProblems(report)} are not.`)
  }
}

function countProblems({ lost, orphans, uncopied, unfinished }: Report): number {
  return lost.length + orphans.length + uncopied.length + unfinished
}
