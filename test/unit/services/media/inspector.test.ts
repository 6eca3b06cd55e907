import { expect } from 'chai'
import { Inspector } from '../../../../src/services/media/inspector.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import { systemClock } from '../../../../src/util/clock.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { picture } from '../../../support/pictures.js'
import { useScratch } from '../../../support/scratch.js'
import { writeFileSync } from 'node:fs'

describe('the process that looks at files of strangers', function () {
  this.timeout(90_000)
  const scratch = useScratch()

  it('measures pictures, reads pages, and comes back after its end', async () => {
    const inspector = new Inspector({ clock: systemClock, logger: silentLogger() })
    try {
      writeFileSync(scratch.path('a.png'), await picture('png', 30, 20))
      const measured = { kind: 'measured', contentType: 'image/png', width: 30, height: 20 }
      const measure = () => inspector.image({ kind: 'measure', path: scratch.path('a.png') })
      expect(await measure()).to.deep.equal(measured)
      const page = {
        kind: 'page',
        bytes: Buffer.from('<title>T</title>'),
        charset: undefined,
        url: 'http://a.org/',
      } as const
      expect(await inspector.page(page)).to.deep.equal({
        properties: { 'og:title': 'T' },
        oembedUrl: undefined,
      })
      const missing = await inspector.image({ kind: 'measure', path: scratch.path('none') })
      expect(missing.kind).to.equal('unusable')
      expect(await measure()).to.deep.equal(measured)
    } finally {
      inspector.stop()
    }
  })

  it('is ended when something takes too long, and when nobody needs it', async () => {
    const clock = new ManualClock()
    const inspector = new Inspector({ clock, logger: silentLogger() })
    writeFileSync(scratch.path('a.png'), await picture('png', 30, 20))
    const stuck = inspector.image({ kind: 'measure', path: scratch.path('a.png') })
    while (clock.pending === 0) await Promise.resolve()
    clock.advance(90_000)
    expect(await stuck).to.deep.equal({ kind: 'unusable', reason: 'it takes too long' })
    expect((await inspector.image({ kind: 'measure', path: scratch.path('a.png') })).kind).to.equal(
      'measured',
    )
    clock.advance(60_000)
    expect(clock.pending).to.equal(0)
    inspector.stop()
    expect((await inspector.image({ kind: 'measure', path: scratch.path('a.png') })).kind).to.equal(
      'unusable',
    )
  })
})
