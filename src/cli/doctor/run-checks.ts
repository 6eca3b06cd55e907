import type { Clock, Timer } from '../../util/clock.js'
import { Semaphore } from '../../util/semaphore.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, type Finding } from './finding.js'

/** What a check has found; what was mended says so. */
export interface CheckResult {
  readonly check: string
  readonly findings: readonly (Omit<Finding, 'mend'> & { readonly fixed?: string })[]
}

export interface RunOptions {
  /** Mends what is safe to mend. */
  readonly fixes: boolean
  /** For each check. */
  readonly timeoutMs: number
  /** Called in the order of the checks, as soon as the results up to there are known. */
  readonly onResult?: (result: CheckResult) => void
}

/** The database and the network are not to be stormed. */
const CONCURRENT = 6

/** Runs checks beside each other. Never rejects: a check that fails or takes too long is a finding. */
export async function runChecks(
  checks: readonly DoctorCheck[],
  context: DoctorContext,
  options: RunOptions,
): Promise<readonly CheckResult[]> {
  const slots = new Semaphore(CONCURRENT)
  const running = checks.map((check) => slots.run(() => runCheck(check, context, options)))
  const results: CheckResult[] = []
  for (const promise of running) {
    const result = await promise
    results.push(result)
    options.onResult?.(result)
  }
  return results
}

async function runCheck(
  check: DoctorCheck,
  context: DoctorContext,
  options: RunOptions,
): Promise<CheckResult> {
  const found = await findingsOf(check, context, options.timeoutMs)
  const findings: CheckResult['findings'][number][] = []
  for (const { mend, ...finding } of found) {
    findings.push(mend === undefined || !options.fixes ? finding : await mended(finding, mend))
  }
  return { check: check.name, findings }
}

async function findingsOf(
  check: DoctorCheck,
  context: DoctorContext,
  timeoutMs: number,
): Promise<readonly Finding[]> {
  const late = timeLimit(context.clock, timeoutMs)
  try {
    return await Promise.race([check.run(context), late.reached])
  } catch (error) {
    const summary = `this could not be looked at: ${(error as Error).message}`
    const consequence = 'nothing is known of it'
    return [failure(summary, { consequence, cure: `mxhs doctor --only ${check.name}` })]
  } finally {
    late.cancel()
  }
}

function timeLimit(clock: Clock, ms: number): { reached: Promise<Finding[]>; cancel: () => void } {
  let timer: Timer | undefined
  const reached = new Promise<Finding[]>((resolve) => {
    timer = clock.setTimeout(() => {
      const summary = `this took longer than ${Math.round(ms / 1000)} seconds`
      const consequence = 'nothing is known of it, and it may be slow for the server too'
      resolve([failure(summary, { consequence, cure: 'mxhs doctor --timeout SECONDS gives it more time' })])
    }, ms)
  })
  return { reached, cancel: () => timer?.cancel() }
}

async function mended(
  finding: Omit<Finding, 'mend'>,
  mend: () => Promise<string>,
): Promise<CheckResult['findings'][number]> {
  try {
    return { level: 'info', summary: finding.summary, fixed: await mend() }
  } catch (error) {
    return {
      ...finding,
      consequence: `${finding.consequence ?? ''} (not mended: ${(error as Error).message})`,
    }
  }
}
