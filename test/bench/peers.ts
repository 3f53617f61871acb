/**
 * What others reach with every acknowledgement durable. Measured beforehand with their own best clients and 1 KB records
 * on a machine of the kind this bench was written on (2 cores, one fast virtual disk), so only the order of magnitude
 * carries over to another one.
 */
export const peers = [
  {
    peer: 'Redis Streams, appendfsync always',
    one: '0.20-0.26 ms',
    many: '20,000-46,000/s',
    batches: '91-127 MB/s',
    catchUp: '350-500 MB/s',
  },
  { peer: 'NATS JetStream, sync always', one: '0.30 ms', many: '4,000-7,000/s', batches: '7 MB/s', catchUp: '' },
  {
    peer: 'Kafka 4.4, fsync per batch',
    one: '0.74 ms',
    many: '1,700/s',
    batches: '14-84 MB/s',
    catchUp: '250-800 MB/s',
  },
  { peer: 's2-lite', one: '6 ms', many: '1,700/s', batches: '42 MB/s', catchUp: '77 MB/s' },
] as const;
