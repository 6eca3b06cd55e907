import { Rendezvous } from '../services/devices/rendezvous.js'
import type { Services } from '../services/services.js'
import type { ServiceParts } from './wire-services.js'

export type DeliveryServices = Pick<Services, 'rendezvous'>

/** Constructs what reaches devices by other ways than their syncs. */
export function createDeliveryServices({ config, clock }: ServiceParts): DeliveryServices {
  const { experimental, server } = config
  return {
    rendezvous: new Rendezvous(clock, {
      isOpenByUrl: experimental.rendezvousByUrl,
      mode: experimental.rendezvousMode,
      publicBaseUrl: server.publicBaseUrl,
    }),
  }
}
