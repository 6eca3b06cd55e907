import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock, Timer } from '../../util/clock.js'
import { packageRoot } from '../../util/package-root.js'
import { Semaphore } from '../../util/semaphore.js'
import type { ImageJob, ImageOutcome } from './image-work.js'

export interface ImageWorkerDependencies {
  readonly clock: Clock
  readonly logger: Logger
}

/** No picture is worth more time; the first job also loads the library. */
const JOB_MS = 30_000
/** The process ends when there has been nothing to do for so long, and gives its memory back. */
const IDLE_MS = 60_000
const PROCESS = 'src/services/media/image-process'

/** Has pictures looked at by a process of its own, one after the other. The process comes and goes as needed. */
export class ImageWorker {
  readonly #deps: ImageWorkerDependencies
  readonly #turns = new Semaphore(1)
  #child: ChildProcess | undefined
  #idle: Timer | undefined

  constructor(deps: ImageWorkerDependencies) {
    this.#deps = deps
  }

  /** What became of a job; `unusable` when it takes too long or brings the process down. */
  run(job: ImageJob): Promise<ImageOutcome> {
    return this.#turns.run(async () => {
      this.#idle?.cancel()
      const child = (this.#child ??= startProcess())
      try {
        return await this.#ask(child, job)
      } finally {
        this.#idle = this.#deps.clock.setTimeout(() => this.stop(), IDLE_MS)
      }
    })
  }

  /** Ends the process; the next job brings up another. */
  stop(): void {
    this.#idle?.cancel()
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  async #ask(child: ChildProcess, job: ImageJob): Promise<ImageOutcome> {
    child.ref()
    child.channel?.ref()
    const failure = await new Promise<ImageOutcome>((resolve) => {
      const settle = (outcome: ImageOutcome): void => {
        timer.cancel()
        child.removeAllListeners()
        resolve(outcome)
      }
      const fail = (reason: string): void => {
        this.#deps.logger.warn({ reason, path: job.path }, 'A picture could not be looked at')
        this.stop()
        settle({ kind: 'unusable', reason })
      }
      const timer = this.#deps.clock.setTimeout(() => fail('it takes too long'), JOB_MS)
      child.once('message', (outcome) => settle(outcome as ImageOutcome))
      child.once('exit', (code, signal) => fail(`the process ended (${signal ?? code ?? ''})`))
      child.once('error', (error) => fail(error.message))
      child.send(job, (error) => {
        if (error !== null) fail(error.message)
      })
    })
    child.unref()
    child.channel?.unref()
    return failure
  }
}

/** From the sources through tsx, or from what is built of them. It gets nothing of the server's environment. */
function startProcess(): ChildProcess {
  const isSource = import.meta.filename.endsWith('.ts')
  const root = packageRoot()
  const file = isSource ? join(root, `${PROCESS}.ts`) : join(root, 'dist', `${PROCESS}.js`)
  return fork(file, [], {
    cwd: root,
    serialization: 'advanced',
    execArgv: isSource ? ['--import', 'tsx'] : [],
    env: { PATH: process.env['PATH'], UV_THREADPOOL_SIZE: '2', VIPS_CONCURRENCY: '1' },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
}
