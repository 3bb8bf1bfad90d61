package example;

import static org.junit.Assert.assertEquals;
import static org.junit.Assume.assumeTrue;

import org.junit.Ignore;
import org.junit.Test;

/** A test of every status that Surefire knows. */
public class StatusesTest {
    static int flaky, flakyError, always;

    @Test public void passes() { System.out.println("a line <&> \u001b[31mred\u001b[0m ]]>"); }
    @Test public void fails() { assertEquals("<a> & \"b\"", "c"); }
    @Test public void raises() { throw new IllegalStateException("no assertion"); }
    @Test public void raisesWithoutAMessage() { throw new NullPointerException(); }
    @Test @Ignore("not now") public void isIgnored() {}
    @Test public void skipsItself() { assumeTrue("no such device", false); }
    @Test(expected = RuntimeException.class) public void raisesAsItShould() { throw new RuntimeException(); }
    @Test(expected = RuntimeException.class) public void doesNotRaise() {}
    @Test(timeout = 50) public void takesTooLong() throws Exception { Thread.sleep(60_000); }

    @Test public void isFlaky() { System.err.println("try " + ++flaky); assertEquals("a try", 3, flaky); }
    @Test public void isFlakyByAnError() { if (++flakyError < 2) { throw new IllegalStateException("once"); } }
    @Test public void failsAndRaises() { if (++always % 2 == 0) { throw new IllegalStateException("even"); } assertEquals(0, always); }
}
