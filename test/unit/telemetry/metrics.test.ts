import { expect } from 'chai'
import { createMetrics } from '../../../src/telemetry/metrics.js'

describe('metrics', () => {
  it('render in the format of Prometheus', async () => {
    const metrics = createMetrics()
    metrics.counter({ name: 'requests', help: 'All\nof them' }).inc({ path: 'a"b\\c\n' }, 2)
    metrics.counter({ name: 'requests', help: 'All\nof them' }).inc({ path: 'a"b\\c\n' })
    metrics.counter({ name: 'requests', help: 'All\nof them' }).series({ path: 'a"b\\c\n' }).inc(4)
    metrics.gauge({ name: 'load', help: 'Now' }).set(0.5)
    const time = metrics.histogram({ name: 'time', help: 'Seconds', buckets: [0.1, 1] })
    for (const value of [0.05, 0.1, 0.5, 7]) time.observe(value, { on: 'x' })
    metrics.observed({ name: 'size', help: 'Of things' }, () => [[{ of: 'y' }, 3]])
    expect((await metrics.render()).split('\n')).to.deep.equal([
      '# HELP requests All\\nof them',
      '# TYPE requests counter',
      'requests{path="a\\"b\\\\c\\n"} 7',
      '# HELP load Now',
      '# TYPE load gauge',
      'load 0.5',
      '# HELP time Seconds',
      '# TYPE time histogram',
      'time_bucket{on="x",le="0.1"} 2',
      'time_bucket{on="x",le="1"} 3',
      'time_bucket{on="x",le="+Inf"} 4',
      'time_sum{on="x"} 7.65',
      'time_count{on="x"} 4',
      '# HELP size Of things',
      '# TYPE size gauge',
      'size{of="y"} 3',
      '',
    ])
  })

  it('refuse one name for two things', () => {
    const metrics = createMetrics()
    metrics.counter({ name: 'a', help: '' })
    expect(() => metrics.histogram({ name: 'a', help: '' })).to.throw('a')
    expect(() => metrics.gauge({ name: 'a', help: '' })).to.throw('a')
  })

  it("add Node's own when asked", async () => {
    const text = await createMetrics({ processMetrics: true }).render()
    expect(text).to.include('process_cpu_seconds_total')
    expect(text).to.include('nodejs_eventloop_lag_seconds')
  })
})
