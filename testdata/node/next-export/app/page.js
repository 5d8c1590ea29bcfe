import Counter from "./counter";

export default function Home() {
  return (
    <main>
      <h1>hello from an export</h1>
      <Counter />
    </main>
  );
}
