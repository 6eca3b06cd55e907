import Mocha from 'mocha'

const { EVENT_RUN_END } = Mocha.Runner.constants

/** The Spec reporter, plus one closing line `N passed, N failed` that scripts can read. */
export default class ClosingLineReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    runner.once(EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats
      const skipped = pending > 0 ? `, ${pending} skipped` : ''
      process.stdout.write(`${passes} passed, ${failures} failed${skipped}\n`)
    })
  }
}
