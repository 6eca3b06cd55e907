import type { Route } from '../../http/route.js'
import * as eventContext from './event-context.js'
import * as messagePagination from './message-pagination.js'
import * as relations from './relations.js'
import * as roomEventByTimestamp from './room-event-by-timestamp.js'
import * as roomInitialSync from './room-initial-sync.js'
import * as rooms from './rooms.js'
import * as threadsList from './threads-list.js'
import * as eventRelationships from './unstable/event-relationships.js'

/** The endpoints that show what happened in rooms. */
export const readingRoutes: readonly Route[] = [
  messagePagination,
  eventContext,
  rooms,
  roomEventByTimestamp,
  roomInitialSync,
  relations,
  threadsList,
  eventRelationships,
].flatMap((file) => Object.values<Route>(file))
