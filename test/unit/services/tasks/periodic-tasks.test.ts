import { expect } from 'chai'
import { PeriodicTasks } from '../../../../src/services/tasks/periodic-tasks.js'
import { createLogger, type LogLevel } from '../../../../src/telemetry/logger.js'
import { requestContext } from '../../../../src/telemetry/request-context.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { ManualClock } from '../../../support/manual-clock.js'

async function makeTasks(level: LogLevel = 'info') {
  const clock = new ManualClock()
  const lines: string[] = []
  const { logger } = await createLogger({ level, destination: { write: (line) => lines.push(line) } })
  return { clock, lines, tasks: new PeriodicTasks({ clock, logger, jitter: () => 0.5 }) }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('services/tasks/periodic-tasks', () => {
  it('runs a task within its interval, and then once every interval', async () => {
    const { clock, tasks } = await makeTasks('debug')
    const ids: (string | undefined)[] = []
    tasks.every({
      name: 'chore',
      intervalMs: 1000,
      run: () => {
        ids.push(requestContext()?.requestId)
        return Promise.resolve()
      },
    })
    clock.advance(499)
    expect(ids).to.deep.equal([])
    clock.advance(1)
    await settle()
    clock.advance(1000)
    await settle()
    expect(ids).to.deep.equal(['chore-1', 'chore-2'])
    await tasks.stop()
    expect(clock.pending).to.equal(0)
  })

  it('makes no promise wait for names that only a detailed log has', async () => {
    const { clock, tasks } = await makeTasks()
    const contexts: unknown[] = []
    const run = async (): Promise<void> => {
      await Promise.resolve()
      contexts.push(requestContext())
    }
    tasks.every({ name: 'chore', intervalMs: 1000, run })
    clock.advance(500)
    await settle()
    expect(contexts).to.deep.equal([undefined])
    await tasks.stop()
  })

  it('does not start a task that still runs, and waits for it at the end', async () => {
    const { clock, tasks } = await makeTasks()
    const gate = createDeferred()
    let runs = 0
    let aborted = false
    tasks.every({
      name: 'slow',
      intervalMs: 100,
      run: (signal) => {
        runs += 1
        signal.addEventListener('abort', () => (aborted = true))
        return gate.promise
      },
    })
    clock.advance(1000)
    await settle()
    expect(runs).to.equal(1)
    let stopped = false
    const stopping = tasks.stop().then(() => (stopped = true))
    await settle()
    expect([aborted, stopped]).to.deep.equal([true, false])
    gate.resolve()
    await stopping
    clock.advance(1000)
    expect(runs).to.equal(1)
  })

  it('logs what fails and tries again', async () => {
    const { clock, lines, tasks } = await makeTasks()
    let runs = 0
    tasks.every({
      name: 'broken',
      intervalMs: 100,
      run: () => {
        runs += 1
        return Promise.reject(new Error('disk full'))
      },
    })
    clock.advance(50)
    await settle()
    clock.advance(100)
    await settle()
    expect(runs).to.equal(2)
    expect(lines.join('')).to.contain('disk full')
    await tasks.stop()
  })

  it('refuses two tasks with one name', async () => {
    const { tasks } = await makeTasks()
    const chore = { name: 'chore', intervalMs: 100, run: () => Promise.resolve() }
    tasks.every(chore)
    expect(() => tasks.every(chore)).to.throw('chore')
    await tasks.stop()
  })
})
