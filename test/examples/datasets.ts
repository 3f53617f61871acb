/** The real events of the demo, from the package `vega-datasets`: flights in the US in 2001, a week of earthquakes. */

import { readFileSync } from 'node:fs';

/** In the order of the file, which is the order of departure. */
export interface Flight {
  /** Local time, `2001/01/31 18:05`. */
  readonly date: string;
  /** Minutes; negative when the flight was early. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
}

export interface Earthquake {
  readonly id: string;
  /** The network of seismometers that saw it, such as `ak` for Alaska. */
  readonly network: string;
  readonly magnitude: number;
  readonly place: string;
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
}

export function readFlights(): Flight[] {
  return readDataset('flights-20k.json') as Flight[];
}

/** Oldest first. */
export function readEarthquakes(): Earthquake[] {
  const { features } = readDataset('earthquakes.json') as {
    readonly features: readonly {
      readonly id: string;
      readonly properties: {
        readonly net: string;
        readonly mag: number;
        readonly place: string;
        readonly time: number;
      };
    }[];
  };
  return features
    .map(({ id, properties: { net, mag, place, time } }) => ({ id, network: net, magnitude: mag, place, time }))
    .sort((a, b) => a.time - b.time);
}

function readDataset(name: string): unknown {
  const packageEntry = import.meta.resolve('vega-datasets');
  return JSON.parse(readFileSync(new URL(`../data/${name}`, packageEntry), 'utf8'));
}
