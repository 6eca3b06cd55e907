import { Args, Flags } from '@oclif/core'
import { listDeadLetters } from '../../src/cli/appservices.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { configPaths } from '../../src/cli/config-paths.js'

interface Letter {
  readonly appserviceId: string
  readonly txnId: number
  readonly error: string
  readonly ts: number
  /** What the transaction held. */
  readonly body: unknown
}

export default class AppserviceDeadLetters extends BaseCommand {
  static override summary = 'Show transactions that application services have refused for good.'
  static override description =
    'A transaction that a service answers with an error for more than a day is put aside, so that others can follow. ' +
    'Of each service the last 100 are kept.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> irc-bridge --body -c homeserver.yaml',
  ]

  static override enableJsonFlag = true

  static override args = {
    id: Args.string({
      ignoreStdin: true,
      description: 'the id of a registration; of all services without it',
    }),
  }

  static override flags = {
    config: configFlag,
    body: Flags.boolean({ description: 'show what the transactions held' }),
  }

  async run(): Promise<readonly Letter[]> {
    const { args, flags } = await this.parse(AppserviceDeadLetters)
    const letters = (await listDeadLetters(configPaths(flags.config), args.id)).map((letter): Letter => ({
      ...letter,
      body: JSON.parse(letter.body) as unknown,
    }))
    for (const { appserviceId, txnId, error, ts, body } of letters) {
      this.log(`${appserviceId}  ${txnId}  ${new Date(ts).toISOString()}  ${error}`)
      if (flags.body) this.log(JSON.stringify(body, undefined, 2))
    }
    if (letters.length === 0) this.note('There are none.')
    return letters
  }
}
