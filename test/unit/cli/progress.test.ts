import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { Progress } from '../../../src/cli/progress.js'
import { ManualClock } from '../../support/manual-clock.js'

describe('progress', () => {
  const clock = new ManualClock()

  function stream(isTTY: boolean): { stream: NodeJS.WriteStream; text(): string } {
    const chunks: string[] = []
    const pass = new PassThrough()
    pass.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
    const terminal = Object.assign(pass, { isTTY, columns: 200 }) as unknown as NodeJS.WriteStream
    return { stream: terminal, text: () => chunks.join('') }
  }

  it('is a line every few seconds where there is no terminal, and one at the end', () => {
    const out = stream(false)
    const progress = new Progress({ stream: out.stream, clock })
    progress.start('events', 4_000, 'rows')
    for (let second = 0; second < 12; second++) {
      clock.advance(1_000)
      progress.advance(100)
    }
    progress.finish()
    expect(out.text().split('\n')).to.deep.equal([
      'events: 500 of 4,000 rows, 100 rows/s, 35 s left',
      'events: 1,000 of 4,000 rows, 100 rows/s, 30 s left',
      'events: 1,200 rows in 12 s, 100 rows/s',
      '',
    ])
  })

  it('goes by the rate of late', () => {
    const out = stream(false)
    const progress = new Progress({ stream: out.stream, clock })
    progress.start('events', 100_000, 'rows')
    for (let second = 0; second < 60; second++) {
      clock.advance(1_000)
      progress.advance(second < 30 ? 1_000 : 100)
    }
    expect(out.text().trim().split('\n').at(-1)).to.contain('33,000 of 100,000 rows, 100 rows/s, 11 min')
  })

  it('says no remaining time where there is no total, or more than that', () => {
    const out = stream(false)
    const progress = new Progress({ stream: out.stream, clock })
    progress.start('media', undefined, 'bytes')
    clock.advance(5_000)
    progress.advance(10 * 1024 * 1024)
    progress.start('events', 10, 'events')
    clock.advance(5_000)
    progress.advance(20)
    progress.finish()
    expect(out.text().split('\n')).to.deep.equal([
      'media: 10.0 MiB, 2.0 MiB/s',
      'media: 10.0 MiB in 5 s, 2.0 MiB/s',
      'events: 20 events, 4 events/s',
      'events: 20 events in 5 s, 4 events/s',
      '',
    ])
  })

  it('is a bar on a terminal, with rate and remaining time', () => {
    const out = stream(true)
    const progress = new Progress({ stream: out.stream, clock })
    progress.start('events', 400, 'rows')
    clock.advance(2_000)
    progress.advance(200)
    progress.finish()
    expect(out.text()).to.match(/events {2}\[ +\] 0% {2}0 of 400 rows/)
    expect(out.text()).to.match(/events {2}\[=+ +\] 50% {2}200 rows in 2 s, 100 rows\/s/)
    expect(out.text().endsWith('\n')).to.equal(true)
    // Nobody has to put the terminal right when the process is killed.
    expect(out.text()).to.not.match(/\[\?(?:7|25)l/)
  })

  it('ends what was before, and can be ended twice', () => {
    const out = stream(false)
    const progress = new Progress({ stream: out.stream, clock })
    progress.start('one', 1, 'files')
    progress.start('two', 1, 'files')
    progress.finish()
    progress.finish()
    progress.advance(1)
    expect(out.text()).to.equal('one: 0 files in 0 s\ntwo: 0 files in 0 s\n')
  })

  it('says nothing when it is not to', () => {
    const out = stream(false)
    const progress = new Progress({ stream: out.stream, clock, enabled: false })
    progress.start('one', 1, 'files')
    progress.advance(1)
    progress.finish()
    expect(out.text()).to.equal('')
  })
})
