import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { EventAges } from '../../../../src/services/federation/event-ages.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'

describe('EventAges', () => {
  it('shows in seconds when the newest events of the chosen servers were made, and of no others', async () => {
    const metrics = createMetrics()
    const ages = new EventAges({
      metrics,
      serverName: 'a.test' as ServerName,
      domains: new Set(['b.test']),
    })
    for (const server of ['b.test', 'c.test'] as ServerName[]) {
      ages.onSent(server, 1_500)
      ages.onReceived(server, 2_500)
    }
    const samples = (await metrics.render()).split('\n').filter((line) => /^[a-z]/.test(line))
    expect(samples).to.deep.equal([
      'synapse_federation_last_sent_pdu_time{destination_server_name="b.test",server_name="a.test"} 1.5',
      'synapse_federation_last_received_pdu_time{origin_server_name="b.test",server_name="a.test"} 2.5',
    ])
  })
})
