import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import Mocha from 'mocha'

const { EVENT_TEST_END, EVENT_TEST_PENDING } = Mocha.Runner.constants
const LOG_VARIABLE = 'MXHS_ANSWER_LOG'
const INTEGRATION = resolve(import.meta.dirname, '../integration')

/**
 * The Spec reporter, and at the end of a run of everything whether the tests have received every answer that the
 * specification lists. Closes with one line `N passed, N failed` that scripts can read.
 */
export default class ClosingLineReporter extends Mocha.reporters.Spec {
  /** Of the tests that have run. */
  #files = new Set()
  /** Where the tests write down what they receive; undefined where somebody else wants to have that. */
  #answers
  #isNarrowed

  constructor(runner, options) {
    super(runner, options)
    this.#isNarrowed = Boolean(options.grep ?? options.fgrep)
    for (const event of [EVENT_TEST_END, EVENT_TEST_PENDING])
      runner.on(event, ({ file }) => this.#files.add(file))
    // Before there are workers, which inherit it.
    if (process.env[LOG_VARIABLE] === undefined) {
      this.#answers = mkdtempSync(join(tmpdir(), 'mxhs-answers-'))
      process.env[LOG_VARIABLE] = this.#answers
    }
  }

  /** Called by mocha when everything has ended; what `fn` gets is the exit code. */
  done(failures, fn) {
    this.#review(failures)
      .catch((error) => [String(error)])
      .then((faults) => {
        if (this.#answers !== undefined) rmSync(this.#answers, { recursive: true, force: true })
        for (const fault of faults) process.stdout.write(`${fault}\n`)
        const { passes, failures: failed, pending } = this.stats
        const skipped = pending > 0 ? `, ${pending} skipped` : ''
        process.stdout.write(`${passes} passed, ${failed + faults.length} failed${skipped}\n`)
        fn?.(failures + faults.length)
      })
  }

  /** What is wrong; nothing where tests have failed or have not all run, which says nothing of what they would receive. */
  async #review(failures) {
    const directory = process.env[LOG_VARIABLE]
    if (failures > 0 || this.#isNarrowed || directory === undefined) return []
    if (!integrationTests().every((file) => this.#files.has(file))) return []
    const { findFaults, reviewAnswers, specificationIsHere } =
      await import('../conformance/answer-coverage.js')
    return specificationIsHere ? findFaults(reviewAnswers(directory)) : []
  }
}

function integrationTests() {
  const names = readdirSync(INTEGRATION, { recursive: true })
  return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(INTEGRATION, name))
}
