"""The newest item replaces the one before, and the end lets the last one through."""

import threading

from spair.runtime.live.sources.newest import NewestItem


def test_the_newest_is_taken_and_older_ones_are_counted():
    place = NewestItem()
    for number in range(7):
        place.put(number)
    assert (place.take(), place.put_count, place.dropped) == (6, 7, 6)
    place.put(7)
    assert (place.take(), place.dropped) == (7, 6), "one that was taken is not dropped"


def test_the_last_item_comes_before_the_end():
    place = NewestItem()
    place.put("last")
    place.end()
    assert (place.take(), place.take(), place.ended) == ("last", None, True)


def test_a_limit_of_time_is_no_end():
    place = NewestItem()
    assert place.take(0.001) is None and not place.ended


def test_taking_waits_for_an_item():
    place, found = NewestItem(), []
    thread = threading.Thread(target=lambda: found.append(place.take(300)))
    thread.start()
    place.put(1)
    thread.join()
    assert found == [1]
